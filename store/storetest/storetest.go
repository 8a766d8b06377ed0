// Package storetest is the conformance suite of the interfaces in package store:
// [Run] tests a store.Store, [RunKeys] a store.Keys, [RunClicks] a
// store.ClickSink, and [RunDurable] a store that outlives its process. It is for
// the tests of packages that implement these interfaces, and not for a server.
//
// Each promise is one subtest. The subtests of one store run at the same time. Each subtest
// uses its own links and owners. Suites with links run twice, each time with a new store:
// with links of the default domain, and with links of another domain.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// Options say what to test.
type Options struct {
	// Open returns an empty store and closes it with tb.Cleanup. It is called once for each
	// kind of domain. Required.
	Open func(tb testing.TB) store.Store

	// ResolveLag is how long Resolve may return an old version after a write was
	// acknowledged. Default 0: not at all.
	ResolveLag time.Duration
}

// suite is the store under test.
type suite struct {
	store.Store
	maker
	lag time.Duration
}

// promise is one subtest.
type promise struct {
	name string
	test func(t *testing.T, s suite)
}

// Run tests all promises of store.Store.
func Run(t *testing.T, opts Options) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) { run(t, suite{opts.Open(t), m, opts.ResolveLag}) })
}

func run(t *testing.T, s suite) {
	t.Helper()
	for _, group := range []struct {
		name     string
		promises []promise
	}{
		{"Create", createPromises},
		{"Resolve", resolvePromises},
		{"Confirm", confirmPromises},
		{"Update", updatePromises},
		{"Delete", deletePromises},
		{"Restore", restorePromises},
		{"Consume", consumePromises},
		{"List", listPromises},
		{"Reserve", reservePromises},
		{"Domain", domainPromises},
		{"Context", contextPromises},
		{"Race", racePromises},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range group.promises {
				t.Run(p.name, func(t *testing.T) {
					t.Parallel()
					p.test(t, s)
				})
			}
		})
	}
}

// epoch is the creation time of most links in the suite. Its last digit is a
// microsecond, because every store must keep microseconds.
var epoch = time.Date(2026, time.March, 4, 5, 6, 7, 890_123_000, time.UTC)

// after returns the time that is micros microseconds later than epoch.
func after(micros int) time.Time { return epoch.Add(time.Duration(micros) * time.Microsecond) }

// maker makes links of one domain.
type maker struct {
	domainID string // empty for the default domain
}

// onDomains runs test for links of the default domain, and for links of another domain. With
// -short it leaves out the default domain: the tests of all other packages use its links.
func onDomains(t *testing.T, test func(t *testing.T, m maker)) {
	t.Helper()
	for name, m := range map[string]maker{"default domain": {}, "other domain": {newDomainID()}} {
		t.Run(name, func(t *testing.T) {
			if m.domainID == "" && testing.Short() {
				t.Skip("runs with make test-long")
			}
			t.Parallel()
			test(t, m)
		})
	}
}

// newDomainID returns the id of a domain that no other subtest uses.
func newDomainID() string { return rand.Text()[:10] }

// key returns the key of the link with a code on the domain.
func (m maker) key(code string) string { return store.LinkKey(m.domainID, code) }

// newCode returns the key of a link that no other subtest uses.
func (m maker) newCode() string { return m.key(rand.Text()[:20]) }

// newOwner returns an owner that no other subtest uses.
func newOwner() string { return "key_" + rand.Text()[:12] }

// newLink returns a plain link with a code and an owner of its own.
func (m maker) newLink() store.Link {
	return store.Link{
		Code: m.newCode(), URL: "https://example.com/", Owner: newOwner(),
		Status: 302, CreatedAt: epoch, UpdatedAt: epoch,
	}
}

// create creates l and returns it as stored.
func (s suite) create(t *testing.T, l store.Link) store.Link {
	t.Helper()
	created, err := s.Create(t.Context(), l)
	if err != nil {
		t.Fatalf("Create(%q) = %v, want nil", l.Code, err)
	}
	return created
}

// update updates l and returns it as stored.
func (s suite) update(t *testing.T, l store.Link) store.Link {
	t.Helper()
	updated, err := s.Update(t.Context(), l)
	if err != nil {
		t.Fatalf("Update(%q) = %v, want nil", l.Code, err)
	}
	return updated
}

// remove deletes the link and returns its tombstone.
func (s suite) remove(t *testing.T, code string) store.Link {
	t.Helper()
	tombstone, err := s.Delete(t.Context(), code, 0, after(9))
	if err != nil {
		t.Fatalf("Delete(%q) = %v, want nil", code, err)
	}
	return tombstone
}

// wantStored checks what Get and Resolve return for the code of want.
func (s suite) wantStored(t *testing.T, want store.Link) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Code)
	wantLink(t, "Get", got, err, want)
	deadline := time.Now().Add(s.lag)
	for {
		got, err = s.Resolve(t.Context(), want.Code)
		got.Clicks, got.Robots, got.LastClickAt, got.UsedClicks = want.Clicks, want.Robots, want.LastClickAt, want.UsedClicks
		if err == nil && reflect.DeepEqual(got, want) || time.Now().After(deadline) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	wantLink(t, "Resolve", got, err, want)
}

// wantLink checks the link and the error that op returned.
func wantLink(t *testing.T, op string, got store.Link, err error, want store.Link) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s(%q) = %+v, %v, want %+v", op, want.Code, got, err, want)
	}
}

// wantError checks that err wraps want.
func wantError(t *testing.T, op string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", op, err, want)
	}
}

// race calls fn n times at once and returns the errors in the order of i.
func race(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOneWinner checks that one error is nil and that all others wrap lost. It
// returns the index of the nil error.
func wantOneWinner(t *testing.T, op string, errs []error, lost error) (winner int) {
	t.Helper()
	winner = -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Errorf("%s = nil for %d and %d, want one winner", op, winner, i)
		case !errors.Is(err, lost):
			t.Errorf("%s = %v, want %v", op, err, lost)
		}
	}
	if winner < 0 {
		t.Fatalf("%s = %v, want one winner", op, errs[0])
	}
	return winner
}

// ended returns a canceled context.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
