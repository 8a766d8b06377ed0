package shard

import (
	"cmp"
	"context"
	"slices"

	"github.com/terse/terse/store"
)

// ListTags implements store.Tags. Like List, it names shards that fail in the page.
func (r *Router) ListTags(ctx context.Context, q store.TagQuery) (store.TagPage, error) {
	q.Limit = min(max(q.Limit, 1), store.MaxPageLen)
	pages, errs := everywhere(r, func(_ int, s Shard) (store.TagPage, error) { return s.ListTags(ctx, q) })
	failed := outage(ctx, "list tags", errs)
	if failed != nil && (ctx.Err() != nil || !slices.Contains(errs, nil)) {
		return store.TagPage{}, failed
	}
	page := mergeTags(pages, q.Limit)
	page.Unavailable = r.missing(ctx, errs)
	return page, nil
}

// mergeTags merges the shards' pages for one query. It adds up the links of equal tags.
func mergeTags(pages []store.TagPage, limit int) (page store.TagPage) {
	links := map[string]int{}
	for _, p := range pages {
		for _, t := range p.Tags {
			links[t.Name] = min(links[t.Name]+t.Links, store.MaxTagLinks)
		}
		if p.Next != "" && (page.Next == "" || p.Next < page.Next) {
			page.Next = p.Next // after it, this shard has tags that are not in its page
		}
	}
	for name, n := range links {
		if page.Next == "" || name <= page.Next {
			page.Tags = append(page.Tags, store.Tag{Name: name, Links: n})
		}
	}
	slices.SortFunc(page.Tags, func(a, b store.Tag) int { return cmp.Compare(a.Name, b.Name) })
	if len(page.Tags) > limit {
		page.Tags = page.Tags[:limit]
		page.Next = page.Tags[limit-1].Name
	}
	return page
}
