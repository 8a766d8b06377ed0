package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// broken answers every call of a store with one error, once it is switched on.
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

// TestStoreAway holds that what the store cannot answer is a 503 that says when
// to come back, never a 404, and that nothing of it is kept.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	var b *broken
	s := newServer(t, func(o *api.Options) {
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

// TestUnknownErrorsTellNothing holds that the cause of a 500 stays with us.
func TestUnknownErrorsTellNothing(t *testing.T) {
	t.Parallel()
	b := &broken{err: errors.New("secret cause")}
	s := newServer(t, func(o *api.Options) { b.Store, o.Store = o.Store, b })
	b.on.Store(true)
	for _, path := range []string{"/abc", "/api/v1/links/abc/qr"} {
		a := s.get(path)
		a.problem(http.StatusInternalServerError)
		if string(a.body) == "" || contains(a.body, "secret") {
			t.Errorf("GET %s = %s, want nothing of the cause", path, a.body)
		}
	}
}

// panicking fails in the worst way.
type panicking struct{ store.Store }

func (panicking) Resolve(context.Context, string) (store.Link, error) { panic("secret cause") }

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *api.Options) { o.Store = panicking{o.Store} })
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

// minter mints what it is told to, then refuses.
type minter struct{ codes chan string }

func (m *minter) NextCode() (string, error) {
	select {
	case code := <-m.codes:
		return code, nil
	default:
		return "", errors.New("no node id")
	}
}

// TestTakenCodeIsMintedAgain holds that an alias in the form of a code takes
// nothing but that code, and that a create which cannot mint is a 503.
func TestTakenCodeIsMintedAgain(t *testing.T) {
	t.Parallel()
	m := &minter{codes: make(chan string, 4)}
	s := newServer(t, func(o *api.Options) { o.Minter = m })
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

// partial leaves a shard out of every list.
type partial struct{ store.Store }

func (p partial) List(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := p.Store.List(ctx, q)
	page.Unavailable = []string{"s2"}
	return page, err
}

// TestListNamesWhatIsMissing holds that a list without the links of a shard says
// so, and that a whole one does not.
func TestListNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*api.Options)
		want   []string
	}{
		"whole":   {func(*api.Options) {}, nil},
		"partial": {func(o *api.Options) { o.Store = partial{o.Store} }, []string{"s2"}},
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

// awayArchive is an archive that cannot be reached.
type awayArchive struct{}

func (awayArchive) Export(context.Context, string, int) ([]store.Link, error) {
	return nil, fmt.Errorf("disk: %w", store.ErrUnavailable)
}

func (awayArchive) Import(context.Context, store.Link) (store.Link, error) {
	return store.Link{}, fmt.Errorf("disk: %w", store.ErrUnavailable)
}
