package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// broken is a store that returns err for every call while on is set.
type broken struct {
	store.Store
	on  atomic.Bool
	err error
}

func (b *broken) Create(ctx context.Context, l store.Link) (store.Link, error) {
	if b.on.Load() {
		return store.Link{}, b.err
	}
	return b.Store.Create(ctx, l)
}

func (b *broken) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	if b.on.Load() {
		return store.Link{}, store.Reservation{}, b.err
	}
	return b.Store.CreateOnce(ctx, l, r)
}

func (b *broken) Resolve(ctx context.Context, code string) (store.Link, error) {
	if b.on.Load() {
		return store.Link{}, b.err
	}
	return b.Store.Resolve(ctx, code)
}

func (b *broken) Get(ctx context.Context, code string) (store.Link, error) {
	if b.on.Load() {
		return store.Link{}, b.err
	}
	return b.Store.Get(ctx, code)
}

// TestStoreAway checks the answers when the store is unavailable: 503 with Retry-After, never
// 404, and not cached.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	var b *broken
	s := newServer(t, func(o *options) {
		b = &broken{Store: o.Store, err: fmt.Errorf("disk: %w", store.ErrUnavailable)}
		o.Store, o.CDN = b, true
	})
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com"}`, owner...)
	b.on.Store(true)
	for name, a := range map[string]answer{
		"redirect": s.get("/" + l.Code),
		"preview":  s.get("/" + l.Code + "+"),
		"unknown":  s.get("/nothing"),
		"read":     s.get("/api/v1/links/"+l.Code, owner...),
		"create":   s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`, owner...),
		"qr":       s.get("/api/v1/links/" + l.Code + "/qr"),
	} {
		a.problem(http.StatusServiceUnavailable)
		if a.header.Get("Retry-After") != "1" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Cdn-Cache-Control") != "" {
			t.Errorf("%s: headers of a 503 = %v, want Retry-After, no-store and nothing for the CDN", name, a.header)
		}
	}
	b.on.Store(false)
	if a := s.get("/" + l.Code); a.status != http.StatusFound {
		t.Errorf("redirect after the outage = %d, want 302", a.status)
	}
}

// silent is a store that blocks until ctx ends.
type silent struct {
	store.Store
	asked chan struct{}
}

func (s silent) wait(ctx context.Context) error {
	s.asked <- struct{}{}
	<-ctx.Done()
	return fmt.Errorf("wait: %w", ctx.Err())
}

func (s silent) Create(ctx context.Context, _ store.Link) (store.Link, error) {
	return store.Link{}, s.wait(ctx)
}

func (s silent) CreateOnce(ctx context.Context, _ store.Link, _ store.Reservation) (store.Link, store.Reservation, error) {
	return store.Link{}, store.Reservation{}, s.wait(ctx)
}

func (s silent) Resolve(ctx context.Context, _ string) (store.Link, error) {
	return store.Link{}, s.wait(ctx)
}

func (s silent) Get(ctx context.Context, _ string) (store.Link, error) {
	return store.Link{}, s.wait(ctx)
}

// TestClientsThatLeave checks that a client that disconnects counts as 499 and is not
// logged.
func TestClientsThatLeave(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(ctx context.Context, url string) (*http.Request, error){
		"redirect": func(ctx context.Context, url string) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, url+"/abc", http.NoBody)
		},
		"read": func(ctx context.Context, url string) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/links/abc/qr", http.NoBody)
		},
		"create": func(ctx context.Context, url string) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/links", strings.NewReader(`{"url":"https://example.com","alias":"abc"}`))
		},
		"quick create": func(ctx context.Context, url string) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/links", strings.NewReader(`{"url":"https://example.com"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged log
			asked := make(chan struct{})
			s := newServer(t, func(o *options) {
				o.Store, o.Logger = silent{o.Store, asked}, slog.New(slog.NewJSONHandler(&logged, nil))
			})
			ctx, leave := context.WithCancel(t.Context())
			r, err := ask(ctx, s.URL)
			must(t, err)
			r.Header.Set("Content-Type", "application/json")
			go func() {
				<-asked
				leave()
			}()
			if response, err := s.Client().Do(r); err == nil {
				_ = response.Body.Close()
				t.Errorf("a client that disconnects is answered %d", response.StatusCode)
			}
			statuses := map[string]int{}
			testenv.Await(t, "the request to be counted", func() bool {
				families, err := s.registry.Gather()
				must(t, err)
				for _, family := range families {
					if family.GetName() != "terse_http_requests_total" {
						continue
					}
					for _, m := range family.GetMetric() {
						for _, label := range m.GetLabel() {
							if label.GetName() == "status" && m.GetCounter().GetValue() > 0 {
								statuses[label.GetValue()]++
							}
						}
					}
				}
				return len(statuses) > 0
			})
			if len(statuses) != 1 || statuses["499"] != 1 {
				t.Errorf("the request counts as %v, want 499", statuses)
			}
			if logged.b.Len() > 0 {
				t.Errorf("the log contains %s", &logged.b)
			}
		})
	}
}

// TestUnknownErrorsTellNothing checks that the answer 500 does not contain the cause.
func TestUnknownErrorsTellNothing(t *testing.T) {
	t.Parallel()
	b := &broken{err: errors.New("secret cause")}
	s := newServer(t, func(o *options) { b.Store, o.Store = o.Store, b })
	b.on.Store(true)
	for _, path := range []string{"/abc", "/api/v1/links/abc/qr"} {
		a := s.get(path)
		a.problem(http.StatusInternalServerError)
		if string(a.body) == "" || contains(a.body, "secret") {
			t.Errorf("GET %s = %s, want nothing of the cause", path, a.body)
		}
	}
}

// panicking is a store that panics.
type panicking struct{ store.Store }

func (panicking) Resolve(context.Context, string) (store.Link, error) { panic("secret cause") }

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Store = panicking{o.Store} })
	for _, path := range []string{"/abc", "/abc+", "/api/v1/links/abc/qr"} {
		a := s.get(path)
		a.problem(http.StatusInternalServerError)
		if contains(a.body, "secret") {
			t.Errorf("GET %s = %s, want nothing of the cause", path, a.body)
		}
		if page := s.get(path, "Accept", "text/html", "Accept-Encoding", "gzip"); page.status != http.StatusInternalServerError {
			t.Errorf("page of %s = %d, want 500", path, page.status)
		}
	}
}

// minter returns the given codes, then errors.
type minter struct{ codes chan string }

func (m *minter) NextKey(prefix string) (string, error) {
	select {
	case code := <-m.codes:
		return prefix + code, nil
	default:
		return "", errors.New("no node id")
	}
}

func (m *minter) NextKeyNear(prefix string, _ int) (string, error) { return m.NextKey(prefix) }

// TestTakenCodeIsMintedAgain mints a code that is already in use as an alias: the create gets
// the next code. A create that cannot mint a code is answered 503.
func TestTakenCodeIsMintedAgain(t *testing.T) {
	t.Parallel()
	m := &minter{codes: make(chan string, 4)}
	s := newServer(t, func(o *options) { o.Minter = m })
	s.create(`{"url":"https://example.com/alias","alias":"taken0001"}`)
	for _, headers := range [][]string{nil, {"Idempotency-Key", "k"}} {
		free := fmt.Sprintf("free%05d", len(headers))
		m.codes <- "taken0001"
		m.codes <- free
		if l := s.create(`{"url":"https://example.com/1"}`, headers...); l.Code != free {
			t.Errorf("code with %v = %q, want %s", headers, l.Code, free)
		}
	}
	if got, err := testutil.GatherAndCount(s.registry, "terse_code_collisions_total"); err != nil || got != 1 {
		t.Errorf("collisions are counted in %d series, %v, want 1", got, err)
	}
	a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/2"}`)
	a.problem(http.StatusServiceUnavailable)
	if got := s.get("/free00000").header.Get("Location"); got != "https://example.com/1" {
		t.Errorf("Location = %q while nothing can be minted, want the target", got)
	}
}

// partial is a store that reports an unavailable shard in every list.
type partial struct{ store.Store }

func (p partial) List(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := p.Store.List(ctx, q)
	page.Unavailable = []string{"s2"}
	return page, err
}

// TestListNamesWhatIsMissing checks that a list names its unavailable shards, and that a
// complete list has no such member.
func TestListNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*options)
		want   []string
	}{
		"whole":   {func(*options) {}, nil},
		"partial": {func(o *options) { o.Store = partial{o.Store} }, []string{"s2"}},
	} {
		s := newServer(t, tt.change)
		var got struct {
			UnavailableShards []string `json:"unavailable_shards"`
		}
		a := s.get("/api/v1/links", s.owner("owner")...)
		a.into(&got)
		if a.status != http.StatusOK || !slices.Equal(got.UnavailableShards, tt.want) {
			t.Errorf("%s: GET = %d, unavailable_shards %q, want 200, %q", name, a.status, got.UnavailableShards, tt.want)
		}
	}
}

// awayArchive is an unavailable archive.
type awayArchive struct{}

func (awayArchive) Export(context.Context, string, int) ([]store.Link, error) {
	return nil, fmt.Errorf("disk: %w", store.ErrUnavailable)
}

func (awayArchive) Import(context.Context, store.Link) (store.Link, error) {
	return store.Link{}, fmt.Errorf("disk: %w", store.ErrUnavailable)
}
