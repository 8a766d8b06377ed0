package links_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// standbyAway is a store without a reachable standby: Get succeeds and Confirm fails.
type standbyAway struct {
	store.Store
	on atomic.Bool
}

func (s *standbyAway) Confirm(ctx context.Context, code string) (store.Link, error) {
	if s.on.Load() {
		return store.Link{}, fmt.Errorf("shard s1: %w", store.ErrUnavailable)
	}
	return s.Store.Confirm(ctx, code)
}

// TestNothingIsAcknowledgedFromARead calls use cases that find nothing to write. They are
// unavailable while Confirm fails, and succeed after it works again.
func TestNothingIsAcknowledgedFromARead(t *testing.T) {
	t.Parallel()
	var away *standbyAway
	b := newBench(t, func(o *links.Options) {
		away = &standbyAway{Store: o.Store}
		o.Store = away
	})
	ctx, title := t.Context(), "new"
	named := links.Edit{Settings: links.Settings{Title: &title}}
	ofFirst := links.Edit{Versions: links.Versions{1}, Settings: named.Settings}
	once := links.Draft{URL: "https://example.com/once", Key: "once", Request: []byte("once")}
	reused := links.Draft{URL: "https://example.com/reused", Reuse: true}
	reusedOnce := reused
	reusedOnce.Key, reusedOnce.Request = "reuse", []byte("reuse")
	archived := links.Archived{Link: store.Link{Code: "archived", URL: "https://example.com/archived"}}

	edited := b.created(owner, links.Draft{URL: "https://example.com/1"}).Code
	deleted := b.created(owner, links.Draft{URL: "https://example.com/2"}).Code
	disabled := b.created(owner, links.Draft{URL: "https://example.com/3"}).Code
	must(t, b.Delete(ctx, owner, deleted, nil))
	_, err := b.Edit(ctx, owner, edited, named)
	must(t, err)
	_, err = b.Disable(ctx, admin, disabled, nil, "phishing")
	must(t, err)
	b.created(owner, once)
	b.created(owner, links.Draft{URL: reused.URL})
	importIt := func() error {
		results, err := b.Import(ctx, admin, []links.Archived{archived}, false)
		must(t, err)
		return results[0].Err
	}
	must(t, importIt())

	edit := func(who *links.Caller, code string, e links.Edit) error {
		_, err := b.Edit(ctx, who, code, e)
		return err
	}
	for _, tt := range []struct {
		name string
		call func() error
		want error
	}{
		{"edit that changes nothing", func() error { return edit(owner, edited, named) }, nil},
		{"edit of an old version", func() error { return edit(owner, edited, ofFirst) }, store.ErrVersion},
		{"edit of a deleted link", func() error { return edit(owner, deleted, named) }, store.ErrGone},
		{"delete of an old version", func() error { return b.Delete(ctx, owner, edited, ofFirst.Versions) }, store.ErrVersion},
		{"disable of a disabled link", func() error { _, err := b.Disable(ctx, admin, disabled, nil, "phishing"); return err }, nil},
		{"disable of another target", func() error {
			_, err := b.DisableTarget(ctx, store.AuthorBlocklist, store.Link{Code: edited, URL: "https://evil.example/"}, "evil")
			return err
		}, nil},
		{"enable of an enabled link", func() error { _, err := b.Enable(ctx, admin, edited, nil, ""); return err }, nil},
		{"roll-back to the same target", func() error { _, err := b.RollBack(ctx, owner, edited, links.RollBack{To: 1}); return err }, nil},
		{"repeated create", func() error { return b.one(owner, once).Err }, nil},
		{"create that reuses", func() error { return b.one(owner, reused).Err }, nil},
		{"create with a key that reuses", func() error { return b.one(owner, reusedOnce).Err }, nil},
		{"repeated create that reuses", func() error { return b.one(owner, reusedOnce).Err }, nil},
		{"repeated import", importIt, nil},
	} {
		away.on.Store(true)
		if err := tt.call(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s while no standby confirms = %v, want %v", tt.name, err, store.ErrUnavailable)
		}
		away.on.Store(false)
		if err := tt.call(); !errors.Is(err, tt.want) {
			t.Errorf("%s = %v, want %v", tt.name, err, tt.want)
		}
	}
}
