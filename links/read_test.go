package links_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// TestPagesEndEarly checks that pages of long links are bounded in bytes, and that the next
// pages have every other link.
func TestPagesEndEarly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const total = 400
	target := "https://example.com/" + strings.Repeat("x", 8000)
	drafts := make([]links.Draft, total)
	for i := range drafts {
		drafts[i].URL = target
	}
	if _, err := b.Create(t.Context(), owner, links.Batch{Drafts: drafts}); err != nil {
		t.Fatal(err)
	}
	admin := &links.Caller{Key: &store.Key{ID: "key_admin", Scopes: []store.Scope{store.ScopeAdmin}}}
	const most = 1<<20/8000 + 1
	for name, page := range map[string]func(cursor string) ([]store.Link, string){
		"List": func(cursor string) ([]store.Link, string) {
			p, err := b.List(t.Context(), owner, links.Query{Limit: 1000, Cursor: cursor})
			must(t, err)
			return p.Links, p.Next.String()
		},
		"Export": func(cursor string) ([]store.Link, string) {
			page, next, err := b.Export(t.Context(), admin, cursor, 1000)
			must(t, err)
			return page, next
		},
	} {
		seen := map[string]bool{}
		for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
			links, next := page(cursor)
			if len(links) == 0 || len(links) > most {
				t.Fatalf("%s: page %d has %d links, want 1 to %d", name, pages, len(links), most)
			}
			for _, l := range links {
				seen[l.Code] = true
			}
			cursor = next
		}
		if len(seen) != total {
			t.Errorf("%s: the pages have %d different links, want %d", name, len(seen), total)
		}
	}
}
