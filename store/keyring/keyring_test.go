package keyring_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/keyring"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRing returns a ring over the options' keys, which stand in for them while they
// are away.
func newRing(tb testing.TB, opts keyring.Options) *keyring.Ring {
	tb.Helper()
	opts.Logger, opts.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	opts.StaleFor = keyring.DefaultStaleFor
	r, err := keyring.New(opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	return r
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts keyring.Options
	}{
		{"as it is by default", keyring.Options{}},
		{"with answers that age at once", keyring.Options{TTL: time.Nanosecond, NegativeTTL: time.Nanosecond}},
		{"with no room", keyring.Options{MaxKeys: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.RunKeys(t, func(tb testing.TB) store.Keys {
				s, err := sqlite.Open(tb.Context(), sqlite.Options{Dir: tb.TempDir(), Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					tb.Fatal(err)
				}
				tb.Cleanup(func() {
					if err := s.Close(); err != nil {
						tb.Error(err)
					}
				})
				opts := tt.opts
				opts.Keys = s
				return newRing(tb, opts)
			})
		})
	}
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := keyring.New(keyring.Options{
		TTL: time.Minute, NegativeTTL: time.Minute, LoadTimeout: -1, StaleFor: -1, UseEvery: -1, MaxKeys: -1,
	})
	for _, field := range []string{"Keys", "Logger", "Registerer", "TTL", "NegativeTTL", "LoadTimeout", "StaleFor", "UseEvery", "MaxKeys"} {
		if err == nil || !strings.Contains(err.Error(), "keyring: "+field+" ") {
			t.Errorf("New() = %v, want it to name %s", err, field)
		}
	}
}

// place is a place of keys that counts questions, and can be away, or slow.
type place struct {
	mu    sync.Mutex
	keys  map[[sha256.Size]byte]store.Key
	asked int
	uses  []store.KeyUse
	fault error         // what everything answers, if any
	hold  chan struct{} // what the next answer waits for once it is known, if anything
}

func newPlace(keys ...store.Key) *place {
	p := &place{keys: map[[sha256.Size]byte]store.Key{}}
	for _, k := range keys {
		p.keys[k.Hash] = k
	}
	return p
}

func (p *place) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *place) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error) {
	p.mu.Lock()
	p.asked++
	k, ok := p.keys[hash]
	fault, hold := p.fault, p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return store.Key{}, ctx.Err()
		}
	}
	switch {
	case fault != nil:
		return store.Key{}, fault
	case !ok:
		return store.Key{}, store.ErrNotFound
	}
	return k, nil
}

func (p *place) UseKeys(_ context.Context, uses []store.KeyUse) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses = append(p.uses, uses...)
	for _, u := range uses {
		k := p.keys[u.Hash]
		k.LastUsedAt = u.At
		p.keys[u.Hash] = k
	}
	return p.fault
}

func (p *place) CreateKey(context.Context, store.Key) error    { return errors.ErrUnsupported }
func (p *place) ListKeys(context.Context) ([]store.Key, error) { return nil, errors.ErrUnsupported }

func (p *place) RevokeKey(context.Context, string, time.Time) (store.Key, error) {
	return store.Key{}, errors.ErrUnsupported
}

// newKey returns a key that may be used.
func newKey() store.Key {
	_, hash := store.NewToken()
	return store.Key{ID: store.NewKeyID(), Hash: hash, Scopes: []store.Scope{store.ScopeLinksRead}}
}

// wantKey holds what the ring says of a key, and how often its place was asked
// since the last time.
func wantKey(t *testing.T, r *keyring.Ring, p *place, want store.Key, wantErr error, asked int) {
	t.Helper()
	before := p.asked
	got, err := r.KeyByHash(t.Context(), want.Hash)
	synctest.Wait()
	if !errors.Is(err, wantErr) || err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("KeyByHash() = %+v, %v, want %+v, %v", got, err, want, wantErr)
	}
	if got := p.asked - before; got != asked {
		t.Errorf("the place of keys was asked %d times, want %d", got, asked)
	}
}

func TestKeysAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, none := newKey(), newKey()
		p := newPlace(k)
		r := newRing(t, keyring.Options{Keys: p})
		wantKey(t, r, p, k, nil, 1)
		wantKey(t, r, p, k, nil, 0)
		time.Sleep(keyring.MaxTTL - time.Millisecond)
		wantKey(t, r, p, k, nil, 0)
		p.set(func() { k.Name = "changed"; p.keys[k.Hash] = k })
		time.Sleep(time.Millisecond)
		wantKey(t, r, p, k, nil, 1)

		if !r.Knows(k.Hash) || r.Knows(none.Hash) {
			t.Errorf("Knows() = %v and %v, want it of the key that was read alone", r.Knows(k.Hash), r.Knows(none.Hash))
		}
		wantKey(t, r, p, none, store.ErrNotFound, 1)
		wantKey(t, r, p, none, store.ErrNotFound, 0)
		if !r.Knows(none.Hash) {
			t.Error("Knows() = false, want it known that there is no such key")
		}
		time.Sleep(keyring.DefaultNegativeTTL)
		if !r.Knows(k.Hash) || r.Knows(none.Hash) {
			t.Errorf("Knows() = %v and %v behind the negative TTL, want the key alone", r.Knows(k.Hash), r.Knows(none.Hash))
		}
		wantKey(t, r, p, none, store.ErrNotFound, 1)
	})
}

// TestOneQuestionForMany holds that however many come with one key at once, its
// place is asked once, and that the first may leave.
func TestOneQuestionForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKey()
		p := newPlace(k)
		p.hold = make(chan struct{})
		r := newRing(t, keyring.Options{Keys: p})
		first, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := r.KeyByHash(first, k.Hash)
			left <- err
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got, err := r.KeyByHash(t.Context(), k.Hash); err != nil || got.ID != k.ID {
					t.Errorf("KeyByHash() = %+v, %v, want the key", got, err)
				}
			})
		}
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("KeyByHash() of who left = %v, want %v", err, context.Canceled)
		}
		close(p.hold)
		wg.Wait()
		if p.asked != 1 {
			t.Errorf("the place of keys was asked %d times, want once", p.asked)
		}
	})
}

// TestRevocationIsFinal holds that nothing brings a key back that was heard to be
// revoked: neither what was read before, nor an outage, nor a reader who was slow.
func TestRevocationIsFinal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKey()
		gone := k
		gone.RevokedAt = time.Now().UTC()
		p := newPlace(k)
		r := newRing(t, keyring.Options{Keys: p})
		wantKey(t, r, p, k, nil, 1)
		r.Revoked(k.Hash, gone.RevokedAt)
		wantKey(t, r, p, gone, nil, 0)
		p.set(func() { p.fault = fmt.Errorf("s1: %w", store.ErrUnavailable) })
		time.Sleep(keyring.MaxTTL)
		wantKey(t, r, p, gone, nil, 1)

		slow := newKey()
		p.set(func() { p.fault, p.keys[slow.Hash], p.hold = nil, slow, make(chan struct{}) })
		answered := make(chan store.Key)
		go func() {
			got, _ := r.KeyByHash(t.Context(), slow.Hash)
			answered <- got
		}()
		synctest.Wait() // it has read that the key may be used
		r.Revoked(slow.Hash, gone.RevokedAt)
		close(p.hold)
		if got := <-answered; got.RevokedAt.IsZero() {
			t.Errorf("KeyByHash() of a slow reader = %+v, want it revoked", got)
		}
		slow.RevokedAt = gone.RevokedAt
		wantKey(t, r, p, slow, nil, 0)
	})
}

// TestKeysAreReadAnewAfterSilence holds that keys are not believed that were read
// before revocations may have been missed.
func TestKeysAreReadAnewAfterSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKey()
		p := newPlace(k)
		r := newRing(t, keyring.Options{Keys: p})
		wantKey(t, r, p, k, nil, 1)
		time.Sleep(time.Millisecond)
		r.Missed()
		wantKey(t, r, p, k, nil, 1)
		wantKey(t, r, p, k, nil, 0)
	})
}

// TestOutage holds that a key which is known goes on for StaleFor, that nobody but
// the first waits for a place that hangs, and that one which is not known is an
// outage, not an unknown key.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, stranger := newKey(), newKey()
		p := newPlace(k, stranger)
		r := newRing(t, keyring.Options{Keys: p})
		began := time.Now()
		wantKey(t, r, p, k, nil, 1)
		p.set(func() { p.hold = make(chan struct{}) }) // it hangs
		time.Sleep(keyring.MaxTTL)
		waits := time.Now()
		wantKey(t, r, p, k, nil, 1)
		if took := time.Since(waits); took != keyring.DefaultLoadTimeout {
			t.Errorf("the first waited %v, want %v", took, keyring.DefaultLoadTimeout)
		}
		wantKey(t, r, p, stranger, store.ErrUnavailable, 1)
		for range 20 {
			waits = time.Now()
			if _, err := r.KeyByHash(t.Context(), k.Hash); err != nil || time.Since(waits) > 0 {
				t.Errorf("KeyByHash() = %v after %v, want the key at once", err, time.Since(waits))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(keyring.DefaultLoadTimeout) // the last question is given up
		p.set(func() { p.fault, p.hold = fmt.Errorf("s1: %w", store.ErrUnavailable), nil })
		time.Sleep(keyring.DefaultStaleFor - 2*time.Second - time.Since(began))
		if _, err := r.KeyByHash(t.Context(), k.Hash); err != nil {
			t.Errorf("KeyByHash() = %v, want the key until %v", err, keyring.DefaultStaleFor)
		}
		time.Sleep(2 * time.Second)
		wantKey(t, r, p, k, store.ErrUnavailable, 1)
		p.set(func() { p.fault = nil })
		wantKey(t, r, p, k, nil, 1)
	})
}

// TestUsesAreNotedNowAndThen holds that the last use of a key is noted once in a
// while, however often it is used, and on the way of no call.
func TestUsesAreNotedNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		often, once, expired := newKey(), newKey(), newKey()
		expired.ExpiresAt = time.Now().Add(-time.Hour)
		p := newPlace(often, once, expired)
		r := newRing(t, keyring.Options{Keys: p})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx)
		}()
		ask := func(k store.Key) {
			t.Helper()
			if _, err := r.KeyByHash(t.Context(), k.Hash); err != nil {
				t.Error(err)
			}
		}
		ask(once)
		ask(expired)
		last := time.Now()
		const minutes = 10
		for range minutes * 60 {
			time.Sleep(time.Second)
			last = time.Now()
			ask(often)
		}
		stop()
		<-done
		n := map[[sha256.Size]byte]int{}
		for _, u := range p.uses {
			n[u.Hash]++
		}
		if n[often.Hash] < minutes/2 || n[often.Hash] > minutes+2 || n[once.Hash] != 1 || n[expired.Hash] != 0 {
			t.Errorf("uses were noted %d, %d and %d times, want about %d, 1 and 0", n[often.Hash], n[once.Hash], n[expired.Hash], minutes)
		}
		if got := last.Sub(p.keys[often.Hash].LastUsedAt); got > 2*keyring.DefaultUseEvery {
			t.Errorf("the last use was noted %v before the last use, want %v at most", got, 2*keyring.DefaultUseEvery)
		}
	})
}
