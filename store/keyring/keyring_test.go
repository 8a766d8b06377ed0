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
	"github.com/terse/terse/store/sqlite/sqlitetest"
	"github.com/terse/terse/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRing returns a ring over opts.Keys that uses cached keys in an outage.
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
		{"defaults", keyring.Options{}},
		{"answers that expire at once", keyring.Options{TTL: time.Nanosecond, NegativeTTL: time.Nanosecond}},
		{"room for one key", keyring.Options{MaxKeys: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.RunKeys(t, func(tb testing.TB) store.Keys {
				s := sqlitetest.Open(tb)
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
		if err == nil || !strings.Contains(err.Error(), "keyring: Options."+field+" ") {
			t.Errorf("New() = %v, want an error that names %s", err, field)
		}
	}
}

// place is a store of keys that counts calls. A test can make it fail or hang.
type place struct {
	mu    sync.Mutex
	keys  map[[sha256.Size]byte]store.Key
	asked int
	uses  []store.KeyUse
	fault error         // the error of every call; nil: calls succeed
	hold  chan struct{} // if set, calls wait for it after they have read the key
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

func (p *place) UseKeys(ctx context.Context, uses []store.KeyUse) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
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

func (p *place) RevokeKey(_ context.Context, id string, at time.Time) (store.Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for hash, k := range p.keys {
		if k.ID == id {
			k.RevokedAt = at
			p.keys[hash] = k
			return k, nil
		}
	}
	return store.Key{}, store.ErrNotFound
}

// newKey returns a usable key.
func newKey() store.Key {
	_, hash := store.NewToken()
	return store.Key{ID: store.NewKeyID(), Hash: hash, Scopes: []store.Scope{store.ScopeLinksRead}}
}

// wantKey checks what the ring returns for a key, and how many calls to the store that
// took.
func wantKey(t *testing.T, r *keyring.Ring, p *place, want store.Key, wantErr error, asked int) {
	t.Helper()
	before := p.asked
	got, err := r.KeyByHash(t.Context(), want.Hash)
	synctest.Wait()
	if !errors.Is(err, wantErr) || err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("KeyByHash() = %+v, %v, want %+v, %v", got, err, want, wantErr)
	}
	if got := p.asked - before; got != asked {
		t.Errorf("the store of keys got %d calls, want %d", got, asked)
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
			t.Errorf("Knows() = %v and %v, want true only for the key that was read", r.Knows(k.Hash), r.Knows(none.Hash))
		}
		wantKey(t, r, p, none, store.ErrNotFound, 1)
		wantKey(t, r, p, none, store.ErrNotFound, 0)
		if !r.Knows(none.Hash) {
			t.Error("Knows() of a key that does not exist = false, want true after a look-up")
		}
		time.Sleep(keyring.DefaultNegativeTTL)
		if !r.Knows(k.Hash) || r.Knows(none.Hash) {
			t.Errorf("Knows() = %v and %v after the negative TTL, want true only for the key that exists", r.Knows(k.Hash), r.Knows(none.Hash))
		}
		wantKey(t, r, p, none, store.ErrNotFound, 1)
	})
}

// TestOneQuestionForMany checks that concurrent callers with one key cause one call to
// the store, even when the first caller gives up.
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
			t.Errorf("KeyByHash() of the caller that gave up = %v, want %v", err, context.Canceled)
		}
		close(p.hold)
		wg.Wait()
		if p.asked != 1 {
			t.Errorf("the store of keys got %d calls, want 1", p.asked)
		}
	})
}

// TestRevokedHere checks that a revocation through the ring ends what it remembers.
func TestRevokedHere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKey()
		p := newPlace(k)
		r := newRing(t, keyring.Options{Keys: p})
		wantKey(t, r, p, k, nil, 1)
		gone, err := r.RevokeKey(t.Context(), k.ID, time.Now().UTC())
		if err != nil {
			t.Fatalf("RevokeKey() = %v, want nil", err)
		}
		wantKey(t, r, p, gone, nil, 0)
	})
}

// TestRemovedKeyDoesNotStandIn checks that a key which its place no longer has does not
// come back in an outage.
func TestRemovedKeyDoesNotStandIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKey()
		p := newPlace(k)
		r := newRing(t, keyring.Options{Keys: p})
		wantKey(t, r, p, k, nil, 1)
		p.set(func() { delete(p.keys, k.Hash) })
		time.Sleep(keyring.MaxTTL)
		wantKey(t, r, p, k, store.ErrNotFound, 1)
		p.set(func() { p.fault = fmt.Errorf("s1: %w", store.ErrUnavailable) })
		time.Sleep(keyring.DefaultNegativeTTL)
		wantKey(t, r, p, k, store.ErrUnavailable, 1)
	})
}

// TestRevocationIsFinal checks that a revoked key stays revoked: after an earlier read,
// in an outage, and for a slow read that began before the revocation.
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
		synctest.Wait() // it has read the key as not revoked
		r.Revoked(slow.Hash, gone.RevokedAt)
		time.Sleep(time.Millisecond)
		r.Revoked(newKey().Hash, gone.RevokedAt) // another one makes the ring forget nothing yet
		close(p.hold)
		if got := <-answered; got.RevokedAt.IsZero() {
			t.Errorf("KeyByHash() of a slow reader = %+v, want it revoked", got)
		}
		slow.RevokedAt = gone.RevokedAt
		wantKey(t, r, p, slow, nil, 0)
	})
}

// TestKeysAreReadAnewAfterSilence checks that keys are read again when revocations may
// have been missed.
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

// TestOutage checks that a cached key is used for StaleFor, that only the first caller
// waits for a store that hangs, and that a key which is not cached is reported as an
// outage and not as unknown.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, stranger := newKey(), newKey()
		p := newPlace(k, stranger)
		r := newRing(t, keyring.Options{Keys: p})
		began := time.Now()
		wantKey(t, r, p, k, nil, 1)
		p.set(func() { p.hold = make(chan struct{}) }) // the store hangs
		time.Sleep(keyring.MaxTTL)
		waits := time.Now()
		wantKey(t, r, p, k, nil, 1)
		if took, want := time.Since(waits), 250*time.Millisecond; took != want {
			t.Errorf("the first caller waited %v, want %v", took, want)
		}
		wantKey(t, r, p, stranger, store.ErrUnavailable, 1)
		for range 20 {
			waits = time.Now()
			if _, err := r.KeyByHash(t.Context(), k.Hash); err != nil || time.Since(waits) > 0 {
				t.Errorf("KeyByHash() = %v after %v, want the key at once", err, time.Since(waits))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(keyring.DefaultLoadTimeout) // until the last load has timed out
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

// TestUsesAreNotedNowAndThen checks that the last use of a key is recorded once every
// UseEvery, however often it is used, and in the background.
func TestUsesAreNotedNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		often, once, expired, late := newKey(), newKey(), newKey(), newKey()
		expired.ExpiresAt = time.Now().Add(-time.Hour)
		p := newPlace(often, once, expired, late)
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
		ask(late)
		stop()
		<-done
		n := map[[sha256.Size]byte]int{}
		for _, u := range p.uses {
			n[u.Hash]++
		}
		if n[often.Hash] < minutes/2 || n[often.Hash] > minutes+2 || n[once.Hash] != 1 || n[expired.Hash] != 0 {
			t.Errorf("uses were recorded %d, %d and %d times, want about %d, 1 and 0", n[often.Hash], n[once.Hash], n[expired.Hash], minutes)
		}
		if n[late.Hash] != 1 {
			t.Errorf("a use just before the end was noted %d times, want once", n[late.Hash])
		}
		if got := last.Sub(p.keys[often.Hash].LastUsedAt); got > 2*keyring.DefaultUseEvery {
			t.Errorf("the recorded last use is %v before the last use, want %v at most", got, 2*keyring.DefaultUseEvery)
		}
	})
}

// TestUsesAreBounded checks that a flood of keys cannot make the ring remember more uses
// than keys.
func TestUsesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 3
		keys := make([]store.Key, 2*most)
		for i := range keys {
			keys[i] = newKey()
		}
		p := newPlace(keys...)
		r := newRing(t, keyring.Options{Keys: p, MaxKeys: most})
		ctx, stop := context.WithCancel(t.Context())
		go r.Run(ctx)
		for _, k := range keys {
			if _, err := r.KeyByHash(t.Context(), k.Hash); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * keyring.DefaultUseEvery)
		stop()
		synctest.Wait()
		if len(p.uses) != most {
			t.Errorf("%d uses were noted, want %d", len(p.uses), most)
		}
	})
}
