package links_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// rename returns an edit that renames a link.
func rename(alias string, old links.OldCode) links.Edit {
	return links.Edit{Rename: &links.Rename{Alias: alias, Old: old}}
}

// failing fails chosen writes of a store before or after they are done.
type failing struct {
	store.Store
	mu     sync.Mutex
	before func(op string, l *store.Link) error // nil: nothing fails
}

func (f *failing) fail(op string, l *store.Link) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before == nil {
		return nil
	}
	return f.before(op, l)
}

func (f *failing) set(before func(op string, l *store.Link) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

func (f *failing) Update(ctx context.Context, l store.Link) (store.Link, error) {
	if err := f.fail("update", &l); err != nil {
		return store.Link{}, err
	}
	return f.Store.Update(ctx, l)
}

func (f *failing) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	if err := f.fail("delete", &store.Link{Code: code}); err != nil {
		return store.Link{}, err
	}
	return f.Store.Delete(ctx, code, version, at)
}

// newFailingBench returns a bench, and its store to make writes fail.
func newFailingBench(t *testing.T) (*bench, *failing) {
	t.Helper()
	f := &failing{}
	b := newBench(t, func(o *links.Options) { f.Store, o.Store = o.Store, f })
	return b, f
}

// limited returns a draft with every setting. The click limit 0 is no limit.
func limited(alias string, clicks int64) links.Draft {
	return links.Draft{URL: "https://example.com/1", Alias: &alias, Settings: links.Settings{
		Title: new("t"), Tags: &[]string{"a"}, StartsAt: new(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)), ExpiresAt: new(time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)),
		MaxClicks: &clicks, Confirm: new(true), NoVisitors: new(true), Status: new(301), ForwardQuery: new(store.ForwardOverride), ForwardPath: new(true), Password: new("secret"),
	}}
}

// TestRenameCompletesAfterAFailure fails each write of a rename in turn. Until a repetition
// succeeds, the link can be visited under one of its codes at most as often as its limit allows.
// The repetition gives the new link every field and the used clicks.
func TestRenameCompletesAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, clicks := range []int64{0, 5} {
		for _, old := range []links.OldCode{links.OldRedirects, links.OldGone} {
			for fails := range 4 {
				b, f := newFailingBench(t)
				before := b.created(owner, limited("old", clicks))
				for range 2 {
					_, err := b.database.Consume(t.Context(), "old", b.now())
					must(t, err)
				}
				writes := 0
				f.set(func(string, *store.Link) error {
					writes++
					if writes == fails+1 {
						return store.ErrUnavailable
					}
					return nil
				})
				edit := rename("new", old)
				edit.Versions = links.Versions{before.Version}
				_, failed := b.Edit(t.Context(), owner, "old", edit)
				f.set(nil)
				if live, err := b.database.Get(t.Context(), "new"); failed != nil && clicks > 0 && err == nil && live.State(b.now()) == store.Live {
					if live.UsedClicks != 2 {
						t.Errorf("limit %d, old %d, write %d failed: the new link is live with %d used clicks, want 2", clicks, old, fails, live.UsedClicks)
					}
				}
				if failed == nil && writes > fails {
					t.Errorf("limit %d, old %d: write %d failed, and the rename did not", clicks, old, fails)
				}
				for range 2 {
					got, err := b.Edit(t.Context(), owner, "old", edit)
					must(t, err)
					want := before
					want.Code, want.RequestID, want.Version, want.UpdatedAt, want.CreatedAt = "new", got.RequestID, got.Version, got.UpdatedAt, got.CreatedAt
					if clicks > 0 {
						want.UsedClicks = 2
					}
					if !sameLink(&got, &want) {
						t.Errorf("limit %d, old %d, write %d failed: the new link is\n%+v, want\n%+v", clicks, old, fails, got, want)
					}
				}
				_, err := b.Get(t.Context(), owner, "old")
				if want := map[links.OldCode]error{links.OldGone: store.ErrGone}[old]; !errors.Is(err, want) {
					t.Errorf("limit %d, old %d, write %d failed: the old link = %v, want %v", clicks, old, fails, err, want)
				}
			}
		}
	}
}

// sameLink compares two links. Their tags have one order.
func sameLink(a, b *store.Link) bool {
	x, y := *a, *b
	same := slices.Equal(x.Tags, y.Tags) && x.StartsAt.Equal(y.StartsAt) && x.ExpiresAt.Equal(y.ExpiresAt)
	return same && x.URL == y.URL && x.Code == y.Code && x.Title == y.Title && x.Owner == y.Owner && x.Status == y.Status &&
		x.ForwardQuery == y.ForwardQuery && x.ForwardPath == y.ForwardPath && x.MaxClicks == y.MaxClicks && x.PasswordHash == y.PasswordHash && x.Confirm == y.Confirm && x.NoVisitors == y.NoVisitors &&
		x.UsedClicks == y.UsedClicks
}

// TestRenameBesideOtherWrites does another write between the two writes of a rename.
func TestRenameBesideOtherWrites(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		write func(b *bench) error
		want  error  // of the rename; nil: success
		title string // of the new link
	}{
		{"edit", func(b *bench) error {
			_, err := b.Edit(b.t.Context(), owner, "old", links.Edit{Settings: links.Settings{Title: new("edited")}})
			return err
		}, nil, "edited"},
		{"disable", func(b *bench) error {
			_, err := b.Disable(b.t.Context(), admin, "old", nil, "spam")
			return err
		}, store.InvalidError{}, ""},
		{"delete", func(b *bench) error { return b.Delete(b.t.Context(), owner, "old", nil) }, store.ErrGone, ""},
		{"another rename", func(b *bench) error {
			_, err := b.Edit(b.t.Context(), owner, "old", rename("other", links.OldRedirects))
			return err
		}, store.InvalidError{}, ""},
		{"the same rename", func(b *bench) error {
			_, err := b.Edit(b.t.Context(), owner, "old", rename("new", links.OldRedirects))
			return err
		}, nil, "t"},
		{"a visit", func(b *bench) error {
			_, err := b.database.Consume(b.t.Context(), "old", b.now())
			return err
		}, nil, "t"},
	} {
		for _, clicks := range []int64{0, 5} {
			b, f := newFailingBench(t)
			b.created(owner, limited("old", clicks))
			done := false
			f.set(func(_ string, l *store.Link) error {
				if done || l.Code != "old" {
					return nil
				}
				done = true
				f.mu.Unlock()
				defer f.mu.Lock()
				return tt.write(b)
			})
			got, err := b.Edit(t.Context(), owner, "old", rename("new", links.OldRedirects))
			invalid := store.IsInvalid(tt.want)
			switch {
			case !done:
				t.Errorf("%s: the write was never done", tt.name)
			case tt.want == nil && (err != nil || got.Title != tt.title || got.Code != "new"):
				t.Errorf("%s: rename = %q %q, %v, want %q", tt.name, got.Code, got.Title, err, tt.title)
			case tt.want != nil && (err == nil || invalid != store.IsInvalid(err) || !invalid && !errors.Is(err, tt.want)):
				t.Errorf("%s: rename = %v, want %v", tt.name, err, tt.want)
			}
			if tt.want != nil {
				if _, err := b.Get(t.Context(), owner, "new"); !errors.Is(err, store.ErrGone) {
					t.Errorf("%s: the link of a refused rename = %v, want %v", tt.name, err, store.ErrGone)
				}
			}
			if tt.name == "a visit" && clicks > 0 && got.UsedClicks != 1 {
				t.Errorf("%s: %d used clicks, want 1", tt.name, got.UsedClicks)
			}
		}
	}
}

// TestRenamedLimitHolds visits both codes of a link with a click limit while it is renamed. The
// visits never exceed the limit.
func TestRenamedLimitHolds(t *testing.T) {
	t.Parallel()
	const limit = 50
	b := newBench(t)
	b.created(owner, limited("old", limit))
	var all sync.WaitGroup
	visits := make([]int, 4)
	stop := make(chan struct{})
	for i := range visits {
		code := []string{"old", "new"}[i%2]
		all.Go(func() {
			for {
				l, err := b.database.Consume(t.Context(), code, b.now())
				if err == nil && l.MaxClicks > 0 {
					visits[i]++
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	_, err := b.Edit(t.Context(), owner, "old", rename("new", links.OldRedirects))
	for l := (store.Link{}); err == nil && l.UsedClicks < limit; {
		l, err = b.Get(t.Context(), owner, "new")
	}
	close(stop)
	all.Wait()
	must(t, err)
	sum := 0
	for _, n := range visits {
		sum += n
	}
	if sum != limit {
		t.Errorf("%d visits of a link with the limit %d", sum, limit)
	}
}

// TestRenameOfARenamedLink checks that links never lead to each other in a circle: a link that a
// rename left cannot be renamed, and no edit sets its target to another of our own.
func TestRenameOfARenamedLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.created(owner, links.Draft{URL: "https://example.com/1", Alias: new("one")})
	for _, to := range []string{"two", "three"} {
		from := map[string]string{"two": "one", "three": "two"}[to]
		_, err := b.Edit(t.Context(), owner, from, rename(to, links.OldRedirects))
		must(t, err)
	}
	for _, old := range []string{"one", "two"} {
		if _, err := b.Edit(t.Context(), owner, old, rename("four", links.OldRedirects)); !slices.Equal(fields(err), []string{"alias"}) {
			t.Errorf("rename of %s = %v, want a problem of alias", old, err)
		}
		if _, err := b.Edit(t.Context(), owner, old, links.Edit{URL: new(baseURL + "/" + old)}); !slices.Equal(fields(err), []string{"url"}) {
			t.Errorf("edit of %s = %v, want a problem of url", old, err)
		}
	}
	if _, err := b.Edit(t.Context(), owner, "three", rename("one", links.OldRedirects)); !errors.Is(err, store.ErrExists) {
		t.Errorf("rename to a code in use = %v, want %v", err, store.ErrExists)
	}
	must(t, b.Delete(t.Context(), owner, "one", nil))
	got, err := b.Edit(t.Context(), owner, "three", rename("one", links.OldRedirects))
	if err != nil || got.URL != "https://example.com/1" {
		t.Errorf("rename back = %+v, %v, want the target", got, err)
	}
	if _, err := b.RollBack(t.Context(), owner, "one", links.RollBack{To: 2}); !slices.Equal(fields(err), []string{"url"}) {
		t.Errorf("roll-back to a version that led to another code = %v, want a problem of url", err)
	}
	for _, alias := range []string{"", "a b", "login", "one"} {
		if _, err := b.Edit(t.Context(), owner, "one", rename(alias, links.OldGone)); !slices.Equal(fields(err), []string{"alias"}) {
			t.Errorf("rename to %q = %v, want a problem of alias", alias, err)
		}
	}
}
