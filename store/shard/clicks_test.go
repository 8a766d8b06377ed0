package shard_test

import (
	"errors"
	"testing"

	"github.com/terse/terse/store"
)

// batch returns the first batch of a recorder, with one click for each link.
func batch(links ...store.Link) store.ClickBatch {
	b := store.ClickBatch{Recorder: "recorder", Seq: 1}
	for _, l := range links {
		b.Counts = append(b.Counts, store.ClickCount{Code: l.Code, N: 1, Last: l.CreatedAt})
	}
	return b
}

// wantCounted checks that a link has exactly one click.
func wantCounted(t *testing.T, s store.Store, l store.Link) {
	t.Helper()
	if got, err := s.Get(t.Context(), l.Code); err != nil || got.Clicks != 1 {
		t.Errorf("Get(%q) = %d clicks, %v, want 1", l.Code, got.Clicks, err)
	}
}

func wantAddClicks(t *testing.T, g *group, b store.ClickBatch, want error) {
	t.Helper()
	if err := g.AddClicks(t.Context(), b); !errors.Is(err, want) || errors.Is(err, store.ErrMoved) {
		t.Errorf("AddClicks() = %v, want %v", err, want)
	}
}

// TestClicksWithDeadShard repeats a batch that two of three shards have counted.
func TestClicksWithDeadShard(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	var links []store.Link
	for i := range 3 {
		links = append(links, mustCreate(t, g, newLink(3, i)))
	}
	g.members[1].fail(store.ErrUnavailable)
	wantAddClicks(t, g, batch(links...), store.ErrUnavailable)
	wantCounted(t, g, links[0])
	g.members[1].fail(nil)
	for range 2 {
		wantAddClicks(t, g, batch(links...), nil)
	}
	for _, l := range links {
		wantCounted(t, g, l)
	}
}

// TestClicksOfUnknownOwner repeats clicks for a shard that was never reached before.
func TestClicksOfUnknownOwner(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	g.members[1].fail(store.ErrUnavailable)
	if err := g.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	known, unknown := mustCreate(t, g, newLink(2, 0)), mustCreate(t, g.members[1].Store, newLink(2, 1))
	wantAddClicks(t, g, batch(known, unknown), store.ErrUnavailable)
	g.members[1].fail(nil)
	if err := g.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAddClicks(t, g, batch(known, unknown), nil)
	wantCounted(t, g, known)
	wantCounted(t, g, unknown)
}

// TestClicksMoved moves the bucket of a link between two flushes. The new shard has a part
// of the batch or not. Then the batch is repeated.
func TestClicksMoved(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		other int // shard of the other link in the batch
	}{
		{"to a shard with a part", 1},
		{"to a shard without a part", 2},
		{"and another stays", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := loaded(t, 3)
			moved, other := newLink(3, 0), mustCreate(t, g, newLink(3, tt.other))
			mustCreate(t, g.members[1].Store, moved)
			g.move(store.BucketOf(moved.Code), 0, 1)
			for range 2 {
				wantAddClicks(t, g, batch(moved, other), nil)
				wantCounted(t, g, moved)
				wantCounted(t, g, other)
			}
		})
	}
}

// TestClicksMovedTwice moves two links to a shard without a part of its own.
func TestClicksMovedTwice(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	first, second := newLink(3, 0), newLink(3, 1)
	for from, l := range []store.Link{first, second} {
		mustCreate(t, g.members[2].Store, l)
		g.move(store.BucketOf(l.Code), from, 2)
	}
	for range 2 {
		wantAddClicks(t, g, batch(first, second), nil)
		wantCounted(t, g, first)
		wantCounted(t, g, second)
	}
}

// TestClicksMovedToFailing checks that moved clicks wait for the repetition if the new owner
// failed with its own part.
func TestClicksMovedToFailing(t *testing.T) {
	t.Parallel()
	g := loaded(t, 2)
	moved, other := newLink(2, 0), mustCreate(t, g, newLink(2, 1))
	mustCreate(t, g.members[1].Store, moved)
	g.move(store.BucketOf(moved.Code), 0, 1)
	g.members[1].failClicks(store.ErrUnavailable)
	wantAddClicks(t, g, batch(moved, other), store.ErrUnavailable)
	if got := g.ShardOf(moved.Code); got != 1 {
		t.Errorf("ShardOf(%q) = %d, want 1 after AddClicks has read the map", moved.Code, got)
	}
	for range 2 {
		wantAddClicks(t, g, batch(moved, other), nil)
		wantCounted(t, g, moved)
		wantCounted(t, g, other)
	}
}
