package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// failsFirst is a store that does not create or import links with firstTarget while
// it is on.
type failsFirst struct {
	store.Store
	store.Archive
	on atomic.Bool
}

const firstTarget = "https://example.com/first"

func (f *failsFirst) Create(ctx context.Context, l store.Link) (store.Link, error) {
	if f.on.Load() && l.URL == firstTarget {
		return store.Link{}, fmt.Errorf("shard s1: %w", store.ErrUnavailable)
	}
	return f.Store.Create(ctx, l)
}

func (f *failsFirst) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	if f.on.Load() && l.URL == firstTarget {
		return store.Link{}, store.Reservation{}, fmt.Errorf("shard s1: %w", store.ErrUnavailable)
	}
	return f.Store.CreateOnce(ctx, l, r)
}

func (f *failsFirst) Import(ctx context.Context, l store.Link) (store.Link, error) {
	if f.on.Load() && l.URL == firstTarget {
		return store.Link{}, fmt.Errorf("shard s1: %w", store.ErrUnavailable)
	}
	return f.Archive.Import(ctx, l)
}

// TestLaterItemDoesNotTakeACode sends batches with several links of one code, of which the
// first cannot be stored. No later link takes the code before the client has sent the first
// link again.
func TestLaterItemDoesNotTakeACode(t *testing.T) {
	t.Parallel()
	var failing *failsFirst
	s := newServer(t, func(o *api.Options) {
		failing = &failsFirst{Store: o.Store, Archive: o.Archive}
		o.Store, o.Archive = failing, failing
	})
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	items := func(member, code string, more string) string {
		var all []string
		for i, url := range []string{firstTarget, "https://example.com/second", "https://example.com/third"} {
			all = append(all, fmt.Sprintf(`{%q:%q,"url":%q%s}`, member, code, url, strings.ReplaceAll(more, "#", fmt.Sprint(i))))
		}
		return `{"links":[` + strings.Join(all, ",") + `]}`
	}
	for name, tt := range map[string]struct {
		path, body string
		headers    []string
	}{
		"create":           {"/api/v1/links/batch", items("alias", "plain", ""), owner},
		"create with keys": {"/api/v1/links/batch", items("alias", "keyed", `,"idempotency_key":"key-#"`), owner},
		"import":           {"/api/v1/archive", items("code", "archived", ""), admin},
	} {
		for _, round := range []struct {
			fails bool
			want  [3]int
		}{
			{true, [3]int{503, 503, 503}},
			{false, [3]int{201, 409, 409}},
		} {
			failing.on.Store(round.fails)
			var got batchJSON
			s.send(http.MethodPost, tt.path, tt.body, tt.headers...).into(&got)
			for i, r := range got.Results {
				if r.Status != round.want[i] {
					t.Errorf("%s, first link fails: %t: result %d = %d, want %d", name, round.fails, i, r.Status, round.want[i])
				}
			}
		}
	}
}

// TestFirstItemOfACodeWins imports requests with many links of each code. The first link of
// each code is the one that is stored.
func TestFirstItemOfACodeWins(t *testing.T) {
	t.Parallel()
	const codes, times = 50, 10
	s := newServer(t)
	var links []map[string]string
	for n := range times {
		for i := range codes {
			links = append(links, map[string]string{"code": fmt.Sprint("code-", i), "url": fmt.Sprint("https://example.com/", n)})
		}
	}
	for i, r := range s.put(links, s.key("admin", store.ScopeAdmin)...).Results {
		want := http.StatusConflict
		if i < codes {
			want = http.StatusCreated
		}
		if r.Status != want {
			t.Errorf("result %d = %d, want %d", i, r.Status, want)
		}
	}
}
