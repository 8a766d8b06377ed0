//go:build unix

package remote_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/remote"
)

// keys receives revocations.
type keys struct {
	revoked chan store.Key
	missed  chan struct{}
}

func (k *keys) Revoked(hash [sha256.Size]byte, at time.Time) {
	k.revoked <- store.Key{Hash: hash, RevokedAt: at}
}
func (k *keys) Missed() { k.missed <- struct{}{} }

// receive returns the next value. It fails the test if there is none in time.
func receive[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patient):
		t.Fatalf("no %s within %v", what, patient)
	}
	return v
}

// TestRevocationsAreHeard checks that all listening processes receive revoked keys, also
// between edits, and are informed of a lost connection.
func TestRevocationsAreHeard(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	sender := open(t, server.URL(), patient)
	heard := &keys{make(chan store.Key, 1), make(chan struct{}, 1)}
	listener, err := remote.New(remote.Options{
		URL: server.URL(), Timeout: patient, Keys: heard, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	edits := make(chan store.Link, 1)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		listener.Listen(ctx, func(l store.Link) { edits <- l }, func() {})
	}()
	t.Cleanup(func() {
		stop()
		<-done
		must(t, listener.Close())
	})
	receive(t, heard.missed, "call of Missed")

	_, hash := store.NewToken()
	want := store.Key{Hash: hash, RevokedAt: time.Now().UTC().Truncate(time.Microsecond)}
	invalidate(t, sender, link("a", 1))
	must(t, sender.AnnounceRevocation(t.Context(), want))
	if got := receive(t, edits, "edit"); got.Code != "a" {
		t.Errorf("received an edit of %q, want a", got.Code)
	}
	if got := receive(t, heard.revoked, "revocation"); got.Hash != want.Hash || !got.RevokedAt.Equal(want.RevokedAt) {
		t.Errorf("received the revocation %+v, want %+v", got, want)
	}

	must(t, server.Kill())
	if err := sender.AnnounceRevocation(t.Context(), want); err == nil {
		t.Error("AnnounceRevocation() without Redis = nil, want an error")
	}
	must(t, server.Start(t.Context()))
	receive(t, heard.missed, "the channel's return")
}
