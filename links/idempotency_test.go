package links_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// batchOf creates links to different targets under the key of a batch.
func (b *bench) batchOf(who *links.Caller, key string, n int) []links.Result {
	b.t.Helper()
	drafts := make([]links.Draft, n)
	for i := range drafts {
		target := fmt.Sprintf("https://example.com/%q/%d", key, i)
		drafts[i] = links.Draft{URL: target, Request: []byte(target)}
	}
	results, err := b.Create(b.t.Context(), who, links.Batch{Key: key, Drafts: drafts})
	must(b.t, err)
	return results
}

// TestKeysDoNotMeet creates links and batches with similar keys, by callers with and without an
// API key. Every request must create new links.
func TestKeysDoNotMeet(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *links.Options) { o.AnonymousCreate = true })
	seen := map[string]string{}
	check := func(name string, r links.Result) {
		t.Helper()
		if before, taken := seen[r.Link.Code]; r.Err != nil || taken {
			t.Errorf("%s = link %q, %v, want a new link, not that of %s", name, r.Link.Code, r.Err, before)
		}
		seen[r.Link.Code] = name
	}
	for _, who := range []*links.Caller{owner, other, {Client: "192.0.2.1"}, {Client: "1"}} {
		for key, n := range map[string]int{"k": 12, "k1": 2} {
			for i, r := range b.batchOf(who, key, n) {
				check(fmt.Sprintf("item %d of batch %q of %q", i, key, who.Owner()+who.Client), r)
			}
		}
		for _, key := range []string{"k", "k0", "k\x00", "k\x000", "k\x001", "k\x00\x001", "k\x000\x001", "k\x00192.0.2.1", "k\x000\x00192.0.2.1", "\x00", "\x00\x00", "k1\x00", "k1\x001"} {
			check(fmt.Sprintf("key %q of %q", key, who.Owner()+who.Client), b.one(who, links.Draft{URL: "https://example.com/own", Key: key, Request: []byte(key)}))
		}
	}
}

// TestOwnKeyHasNoPosition checks that the own key of a draft means the same link at every
// position, and that another request with the key is refused.
func TestOwnKeyHasNoPosition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	draft := func(request string) links.Draft {
		return links.Draft{URL: "https://example.com/own", Key: "mine", Request: []byte(request)}
	}
	first := b.created(owner, draft("a"))
	results, err := b.Create(t.Context(), owner, links.Batch{Key: "batch", Drafts: []links.Draft{
		{URL: "https://example.com/"}, draft("a"), draft("b"),
	}})
	must(t, err)
	if got := results[1]; got.Err != nil || got.Link.Code != first.Code {
		t.Errorf("the same draft in a batch = %+v, want the link %s", got, first.Code)
	}
	if got := results[2].Err; !errors.Is(got, links.ErrOtherRequest) {
		t.Errorf("another request with the key = %v, want %v", got, links.ErrOtherRequest)
	}
}

// few is a quota of new passwords.
type few struct{ left atomic.Int64 }

func (f *few) TakePassword(context.Context) error {
	if f.left.Add(-1) < 0 {
		return errors.New("no more passwords")
	}
	return nil
}

// TestRepeatNeedsNoPassword checks that a repeated request with a password returns its link
// without another hash, and that a request which was rejected because of the quota succeeds
// later with the same key.
func TestRepeatNeedsNoPassword(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	quota := &few{}
	quota.left.Store(1)
	limited := *owner
	limited.Quota = quota
	password, alias := "open sesame", "chosen"
	draft := func(key, request string) links.Draft {
		return links.Draft{URL: "https://example.com/", Settings: links.Settings{Password: &password}, Key: key, Request: []byte(request)}
	}
	first := b.created(&limited, draft("first", "a"))
	for range 2 {
		if r := b.one(&limited, draft("first", "a")); r.Err != nil || r.Link.Code != first.Code || r.Link.PasswordHash != first.PasswordHash {
			t.Errorf("repeated create = %q, %v, want %q", r.Link.Code, r.Err, first.Code)
		}
	}
	if r := b.one(&limited, draft("first", "b")); !errors.Is(r.Err, links.ErrOtherRequest) {
		t.Errorf("another request with the key = %v, want %v", r.Err, links.ErrOtherRequest)
	}
	chosen := draft("second", "a")
	chosen.Alias = &alias
	for _, d := range []links.Draft{draft("third", "a"), chosen} {
		if r := b.one(&limited, d); !errors.Is(r.Err, links.ErrLimited) {
			t.Errorf("create without quota = %v, want %v", r.Err, links.ErrLimited)
		}
	}
	quota.left.Store(2)
	for _, d := range []links.Draft{draft("third", "a"), chosen} {
		made := b.created(&limited, d)
		b.wait(time.Second)
		if again := b.created(&limited, d); again.Code != made.Code || made.PasswordHash == "" || d.Alias != nil && made.Code != alias {
			t.Errorf("creates with one key = %q and %q, want one link with a password", made.Code, again.Code)
		}
	}
	if r := b.one(other, links.Draft{URL: chosen.URL, Alias: &alias, Settings: chosen.Settings, Key: "second", Request: []byte("a")}); !errors.Is(r.Err, store.ErrExists) {
		t.Errorf("create with the alias of another owner = %v, want %v", r.Err, store.ErrExists)
	}
}

// moving is a store in which another request changes a reservation before Reserve does.
type moving struct {
	store.Store
	to string // where the other request moves the next reservation; empty: nowhere
}

func (m *moving) Reserve(ctx context.Context, r store.Reservation) (store.Reservation, error) {
	if m.to != "" && r.Replaces != "" {
		first := r
		first.Code, m.to = m.to, ""
		if _, err := m.Store.Reserve(ctx, first); err != nil {
			return store.Reservation{}, err
		}
	}
	return m.Store.Reserve(ctx, r)
}

// TestReservationMovesBeforeItsLink checks a repeated create while another request with the
// same key has moved the reservation to a code, and has not yet created the link there.
func TestReservationMovesBeforeItsLink(t *testing.T) {
	t.Parallel()
	var moved *moving
	lost := &lostCreate{}
	b := newBench(t, func(o *links.Options) {
		moved = &moving{Store: o.Store}
		lost.Store = moved
		o.Store = lost
	})
	d := links.Draft{URL: "https://example.com/", Key: "k", Reuse: true, Request: []byte("k")}
	lost.on = true
	if r := b.one(owner, d); !errors.Is(r.Err, store.ErrUnavailable) {
		t.Fatalf("create that stops after its reservation = %v, want %v", r.Err, store.ErrUnavailable)
	}
	lost.on = false
	lost.then = func() { b.created(owner, links.Draft{URL: d.URL}) } // a link to reuse appears
	moved.to = "elsewhere"
	first := b.created(owner, d)
	if again := b.created(owner, d); first.Code != "elsewhere" || again.Code != first.Code {
		t.Errorf("creates = %q and %q, want the link elsewhere", first.Code, again.Code)
	}
}

// lostCreate is a store that can stop after the reservation of a create.
type lostCreate struct {
	store.Store
	on   bool
	then func() // runs once before the next Confirm
}

func (l *lostCreate) CreateOnce(ctx context.Context, link store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	if !l.on {
		return l.Store.CreateOnce(ctx, link, r)
	}
	stands, err := l.Reserve(ctx, r)
	return store.Link{}, stands, errors.Join(err, store.ErrUnavailable)
}

func (l *lostCreate) Confirm(ctx context.Context, code string) (store.Link, error) {
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return l.Store.Confirm(ctx, code)
}
