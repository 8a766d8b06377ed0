package shard_test

import (
	"context"
	"errors"
	"testing"

	"github.com/terse/terse/store"
)

// textDays is a store.ClickMerge for packed clicks that are texts. It makes rows of links and
// owners.
func textDays(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
	var keys []string
	for _, d := range added {
		keys = append(keys, d.Key)
	}
	links, err := stored.Links(ctx, keys)
	if err != nil {
		return nil, err
	}
	var rows []store.ClickDay
	for _, d := range added {
		l, ok := links[d.Key]
		if !ok {
			continue
		}
		for _, row := range []store.ClickDay{{Kind: store.ClickLink, Key: d.Key, Day: d.Day}, {Kind: store.ClickOwner, Key: l.Owner, Day: d.Day}} {
			before, err := stored.Days(ctx, []store.ClickDay{row})
			if err != nil {
				return nil, err
			}
			for _, b := range before {
				row.Data = append(row.Data, b.Data...)
			}
			row.Data = append(row.Data, d.Data...)
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// foldNow folds all waiting batches of a shard, one by one.
func foldNow(t *testing.T, f store.ClickFolder) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = f.FoldClicks(t.Context(), 1, textDays); err != nil {
			t.Fatalf("FoldClicks() = %v, want nil", err)
		}
	}
}

// wantText checks the text of all rows of a key on day 1.
func wantText(t *testing.T, s store.ClickDays, kind store.ClickKind, key, want string) {
	t.Helper()
	rows, err := s.ListClickDays(t.Context(), kind, []string{key}, 1, 2)
	got := ""
	for _, r := range rows {
		got += string(r.Data)
	}
	if err != nil || got != want {
		t.Errorf("ListClickDays(%d, %q) = %q, %v, want %q", kind, key, got, err, want)
	}
}

// withDay returns the batch with one day of each of its links.
func withDay(b store.ClickBatch, text string) store.ClickBatch {
	for _, c := range b.Counts {
		b.Days = append(b.Days, store.ClickDay{Key: c.Code, Day: 1, Data: []byte(text)})
	}
	return b
}

// TestClickDaysMoved moves the bucket of a link between two flushes. The days of the link must
// reach the new owner once.
func TestClickDaysMoved(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	moved, other := newLink(3, 0), mustCreate(t, g, newLink(3, 1))
	mustCreate(t, g.members[1].Store, moved)
	g.move(store.BucketOf(moved.Code), 0, 1)
	for range 2 {
		wantAddClicks(t, g, withDay(batch(moved, other), "x"), nil)
	}
	for _, m := range g.members {
		foldNow(t, m)
	}
	for _, l := range []store.Link{moved, other} {
		wantText(t, g, store.ClickLink, l.Code, "x")
		wantText(t, g, store.ClickOwner, l.Owner, "x")
	}
	g.move(store.BucketOf(other.Code), 1, 2)
	wantText(t, g, store.ClickLink, other.Code, "") // its rows were not copied
	if got := g.ShardOf(other.Code); got != 2 {
		t.Errorf("ShardOf(%q) = %d, want 2 after ListClickDays has read the map", other.Code, got)
	}
}

// TestClickDaysWithDeadShard lists days while a shard fails. Days of links on other shards must
// be listed. A sum without a shard would be too small, so it must fail.
func TestClickDaysWithDeadShard(t *testing.T) {
	t.Parallel()
	g := loaded(t, 2)
	here, there := mustCreate(t, g, newLink(2, 0)), mustCreate(t, g, newLink(2, 1))
	wantAddClicks(t, g, withDay(batch(here, there), "x"), nil)
	for _, m := range g.members {
		foldNow(t, m)
	}
	g.members[1].fail(store.ErrUnavailable)
	wantText(t, g, store.ClickLink, here.Code, "x")
	if _, err := g.ListClickDays(t.Context(), store.ClickLink, []string{here.Code, there.Code}, 1, 2); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ListClickDays() of a link on a dead shard = %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := g.ListClickDays(t.Context(), store.ClickOwner, []string{here.Owner}, 1, 2); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ListClickDays() of an owner = %v, want %v", err, store.ErrUnavailable)
	}
	if err := g.ResetClicks(t.Context(), there.Code); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ResetClicks() = %v, want %v", err, store.ErrUnavailable)
	}
	g.members[1].fail(nil)
	wantText(t, g, store.ClickLink, there.Code, "x")
}

// TestInvalidDaysCountNothing adds a batch with an invalid day for one of two shards. No shard may
// count its part.
func TestInvalidDaysCountNothing(t *testing.T) {
	t.Parallel()
	g := loaded(t, 2)
	here, there := mustCreate(t, g, newLink(2, 0)), mustCreate(t, g, newLink(2, 1))
	b := withDay(batch(here, there), "x")
	b.Days[1].Day = -1
	wantAddClicks(t, g, b, store.ErrClickDay)
	for _, l := range []store.Link{here, there} {
		if got, err := g.Get(t.Context(), l.Code); err != nil || got.Clicks != 0 {
			t.Errorf("Get(%q) = %d clicks, %v, want 0", l.Code, got.Clicks, err)
		}
	}
}
