package shard

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/store"
)

// TestMergedPagesAreTheWhole puts each link on one or two random shards and reads pages of a
// random length. All links must come sorted and exactly once.
func TestMergedPagesAreTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shards := make([][]store.Link, rapid.IntRange(1, 5).Draw(t, "shards"))
		var want []store.Link
		for i := range rapid.IntRange(0, 40).Draw(t, "links") {
			l := store.Link{
				Code:      fmt.Sprintf("%c%d", 'A'+rapid.IntRange(0, 50).Draw(t, "letter"), i),
				CreatedAt: time.UnixMicro(rapid.Int64Range(0, 10).Draw(t, "created")),
			}
			want = append(want, l)
			for range rapid.IntRange(1, 2).Draw(t, "copies") {
				on := rapid.IntRange(0, len(shards)-1).Draw(t, "shard")
				if !slices.ContainsFunc(shards[on], func(o store.Link) bool { return o.Code == l.Code }) {
					shards[on] = append(shards[on], l)
				}
			}
		}
		newestFirst(want)
		limit := rapid.IntRange(1, 12).Draw(t, "limit")
		scant := rapid.Bool().Draw(t, "scant") // whether shards may return fewer links than the limit
		var got []store.Link
		for after, n := (store.Cursor{}), 0; n == 0 || !after.IsZero(); n++ {
			var pages []store.Page
			for _, links := range shards {
				most := limit
				if scant {
					most = rapid.IntRange(1, limit).Draw(t, "most")
				}
				pages = append(pages, pageOf(links, after, most))
			}
			page := merge(pages, limit)
			if len(page.Links) > limit || !scant && !page.Next.IsZero() && len(page.Links) != limit {
				t.Fatalf("merge() = %d links, next %v, want %d at most", len(page.Links), page.Next, limit)
			}
			got, after = append(got, page.Links...), page.Next
		}
		if !slices.EqualFunc(got, want, func(a, b store.Link) bool { return a.Code == b.Code }) {
			t.Errorf("merged pages have %v, want %v", got, want)
		}
	})
}

// pageOf returns the page of one shard.
func pageOf(links []store.Link, after store.Cursor, limit int) store.Page {
	newestFirst(links)
	var behind []store.Link
	for _, l := range links {
		if after.IsZero() || older(position(&l), after) > 0 {
			behind = append(behind, l)
		}
	}
	if len(behind) <= limit {
		return store.Page{Links: behind}
	}
	return store.Page{Links: behind[:limit:limit], Next: position(&behind[limit-1])}
}

func newestFirst(links []store.Link) {
	slices.SortFunc(links, func(a, b store.Link) int {
		if a.CreatedAt.Equal(b.CreatedAt) {
			if a.Code > b.Code {
				return -1
			}
			return 1
		}
		if a.CreatedAt.After(b.CreatedAt) {
			return -1
		}
		return 1
	})
}
