package shard_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// TestExportGoesByBucket checks that an export does not depend on which shard has a link,
// even while both shards have the links of a moved bucket.
func TestExportGoesByBucket(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	var want []store.Link
	for i := range 30 {
		want = append(want, mustCreate(t, g, newLink(3, i%3)))
	}
	slices.SortFunc(want, func(a, b store.Link) int {
		return cmp.Or(store.BucketOf(a.Code)-store.BucketOf(b.Code), strings.Compare(a.Code, b.Code))
	})
	moved := want[3]
	owner := g.ShardOf(moved.Code)
	if _, err := g.members[(owner+1)%3].Store.Import(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	after := ""
	for i := 0; i < len(want); i += 4 {
		page, err := g.Export(t.Context(), after, 4)
		if err != nil || len(page) != min(4, len(want)-i) {
			t.Fatalf("Export(%q) = %d links, %v", after, len(page), err)
		}
		for n, l := range page {
			if l.Code != want[i+n].Code {
				t.Errorf("Export()[%d] = %q, want %q", i+n, l.Code, want[i+n].Code)
			}
		}
		after = page[len(page)-1].Code
	}
}

// TestExportIsWhole checks that an export fails if one shard fails.
func TestExportIsWhole(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	g.members[1].fail(store.ErrUnavailable)
	if page, err := g.Export(t.Context(), "", 10); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Export() with a dead shard = %d links, %v, want %v", len(page), err, store.ErrUnavailable)
	}
}
