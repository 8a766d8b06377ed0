package shard_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/shard"
)

// fill creates n links of one owner on the shards of g in turn, and returns their codes,
// newest first.
func (g *group) fill(t *testing.T, owner string, n int) []string {
	t.Helper()
	var codes []string
	for i := range n {
		l := newLink(len(g.members), i%len(g.members))
		l.Owner, l.CreatedAt = owner, l.CreatedAt.Add(time.Duration(i)*time.Second)
		codes = append(codes, mustCreate(t, g, l).Code)
	}
	slices.Reverse(codes)
	return codes
}

func codesOf(links []store.Link) []string {
	var codes []string
	for _, l := range links {
		codes = append(codes, l.Code)
	}
	return codes
}

// TestListWithDeadShard checks that the page names the dead shard, and that paging continues
// with the others.
func TestListWithDeadShard(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	g := loaded(t, 3, func(o *shard.Options) { o.Registerer = reg })
	all := g.fill(t, "owner", 12)
	var want []string
	for _, code := range all {
		if store.BucketOf(code)%3 != 1 {
			want = append(want, code)
		}
	}
	g.members[1].fail(store.ErrUnavailable)
	q := store.Query{Owner: "owner", Limit: 3}
	var got []string
	pages := 0
	for ; pages == 0 || !q.After.IsZero(); pages++ {
		page, err := g.List(t.Context(), q)
		if err != nil || !slices.Equal(page.Unavailable, []string{"s2"}) {
			t.Fatalf("List(%+v) = unavailable %q, %v, want s2", q, page.Unavailable, err)
		}
		got, q.After = append(got, codesOf(page.Links)...), page.Next
	}
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("List() page by page = %q on %d pages, want %q on 3", got, pages, want)
	}
	wantMetrics(t, reg, "terse_shard_unavailable_lists_total", "counter",
		`terse_shard_unavailable_lists_total{shard="s1"} 0`, `terse_shard_unavailable_lists_total{shard="s2"} 3`,
		`terse_shard_unavailable_lists_total{shard="s3"} 0`)
}

func TestListWithDeadShards(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	g.fill(t, "owner", 3)
	q := store.Query{Owner: "owner", Limit: 10}
	g.members[2].fail(errWrong)
	g.members[0].fail(context.DeadlineExceeded)
	page, err := g.List(t.Context(), q)
	if err != nil || !slices.Equal(page.Unavailable, []string{"s1", "s3"}) || len(page.Links) != 1 {
		t.Errorf("List() = %+v, %v, want one link without s1 and s3", page, err)
	}
	g.members[1].fail(store.ErrMoved)
	_, err = g.List(t.Context(), q)
	wantErrorText(t, "List()", err, "s1", "s2", "s3")
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrMoved) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("List() when all are down = %v, want only %v", err, store.ErrUnavailable)
	}
}

// TestListOfLeavingCaller checks that the end of the caller's context is not reported as an
// outage of a shard.
func TestListOfLeavingCaller(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	g.members[0].hang()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if page, err := g.List(ctx, store.Query{Limit: 1}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("List() = %+v, %v, want only %v", page, err, context.DeadlineExceeded)
	}
}

// TestListWithLeftovers lists a link that its old shard still has.
func TestListWithLeftovers(t *testing.T) {
	t.Parallel()
	g := loaded(t, 2)
	g.fill(t, "owner", 4)
	l := newLink(2, 0)
	l.Owner = "owner"
	mustCreate(t, g.members[0].Store, l)
	mustCreate(t, g.members[1].Store, l)
	l.Version, l.Title = 1, "edited"
	if _, err := g.members[1].Store.Update(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	page, err := g.List(t.Context(), store.Query{Owner: "owner", Limit: 5})
	if err != nil || len(page.Links) != 5 || !page.Next.IsZero() {
		t.Fatalf("List() = %q, next %v, %v, want 5 links", codesOf(page.Links), page.Next, err)
	}
	for _, got := range page.Links {
		if got.Code == l.Code && got.Title != "edited" {
			t.Errorf("List() has %+v, want the edited version", got)
		}
	}
}
