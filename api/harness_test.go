package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/abuse"
	"github.com/terse/terse/access"
	"github.com/terse/terse/api"
	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/client"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/idgen"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/sqlite/sqlitetest"
	"github.com/terse/terse/useragent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// baseURL differs from the address of the test server. A short URL that is built from the
// request's address is then detected.
const baseURL = "https://go.terse.example"

// clock is a clock that tests set. Safe for concurrent use.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// server is the whole product, except for its listeners.
type server struct {
	*httptest.Server
	t        testing.TB
	clock    *clock
	store    database
	clicks   *clicks.Recorder
	access   *access.Service
	guard    *overload.Guard
	registry *prometheus.Registry
	keys     *sync.Map // tokens by name, see key
	host     string    // Host of the requests; default: that of the URL
}

// database implements all stores that the API needs.
type database interface {
	store.Store
	store.Archive
	store.Keys
	store.History
	store.Tags
	store.Blocklist
	store.Reports
	store.Domains
	store.ClickSink
	store.ClickDays
}

// options are what tests can change of a server.
type options struct {
	api.Options
	Store           store.Store                                             // of Links, and of Visits
	Peek            func(code string) (l store.Link, known bool, err error) // of Visits; default: nothing is in memory
	Holds           func(code string) bool                                  // of Visits; default: nothing is in memory
	Keys            store.Keys
	Blocklist       store.Blocklist                   // of Abuse
	Reports         store.Reports                     // of Abuse
	KeyKnown        func(hash [sha256.Size]byte) bool // default: no key is in memory
	Now             func() time.Time                  // of Clock
	LinkTime        func() (time.Time, bool)          // of Clock; default: Now
	AnonymousCreate bool
	AnonymousLife   time.Duration
	Archive         store.Archive
	History         store.History
	Tags            store.Tags
	Minter          links.Minter
	Blocked         store.Blocker
	Reserved        []string // further names that cannot be aliases
	PasswordCost    int
	UseDomains      func(*domains.ServiceOptions)
}

// links returns the options of the use cases.
func (o *options) links(t testing.TB) links.Options {
	t.Helper()
	base, err := api.ParseBaseURL(o.BaseURL)
	must(t, err)
	served, _ := o.Hosts.(*domains.Map)
	all := links.Options{
		Store: o.Store, Archive: o.Archive, History: o.History, Tags: o.Tags, Minter: o.Minter, Keys: o.Keys, Clock: o.Clock, BaseURL: o.BaseURL,
		Rules:     store.RulesOptions{OwnHosts: []string{base.Host}, Routes: api.Routes(), Reserved: api.Reserved(o.Reserved...), Blocked: o.Blocked},
		Countries: true, AnonymousCreate: o.AnonymousCreate, AnonymousLife: o.AnonymousLife, PasswordCost: o.PasswordCost, Registerer: o.Registerer,
	}
	if served != nil {
		all.Domains, all.Rules.Served = served, served
	}
	return all
}

// complete sets the interfaces of api.Options.
func (o *options) complete(cached *cache.Cache) {
	if o.LinkTime == nil {
		o.LinkTime = func() (time.Time, bool) { return o.Now(), true }
	}
	o.Clock = times{o.Now, o.LinkTime}
	o.Options.Keys = keys{o.Keys, o.KeyKnown}
	if o.Store == store.Store(cached) && o.Holds == nil {
		o.Visits = cached
		return
	}
	if o.Store == store.Store(cached) {
		o.Peek = cached.Peek
	}
	if o.Peek == nil {
		o.Peek = func(string) (store.Link, bool, error) { return store.Link{}, false, nil }
	}
	if o.Holds == nil {
		o.Holds = func(string) bool { return false }
	}
	o.Visits = visits{o.Store, o.Peek, o.Holds}
}

// visits are an api.Visits.
type visits struct {
	store.Store
	peek  func(code string) (l store.Link, known bool, err error)
	holds func(code string) bool
}

func (v visits) Peek(code string) (store.Link, bool, error) { return v.peek(code) }
func (v visits) Holds(code string) bool                     { return v.holds(code) }
func (v visits) Load(ctx context.Context, code string) (store.Link, error) {
	return v.Resolve(ctx, code)
}

// keys are an api.Keys.
type keys struct {
	store.Keys
	known func(hash [sha256.Size]byte) bool
}

func (k keys) Knows(hash [sha256.Size]byte) bool { return k.known(hash) }

// times is an api.Clock.
type times struct {
	now  func() time.Time
	link func() (time.Time, bool)
}

func (t times) Now() time.Time              { return t.now() }
func (t times) LinkTime() (time.Time, bool) { return t.link() }

// newServer starts a server over an embedded database. Rate limits are off unless change
// sets them.
func newServer(t testing.TB, change ...func(*options)) *server {
	t.Helper()
	d := sqlitetest.Open(t)
	return newServerOver(t, d, d.Leases(), time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), change...)
}

// withoutQueues returns bounds that immediately reject requests without a free place.
func withoutQueues() []overload.Bounds {
	bounds := slices.Clone(overload.DefaultBounds[:])
	for i := range bounds {
		bounds[i].Queue = 0
	}
	return bounds
}

// noCountries knows no country.
type noCountries struct{}

func (noCountries) Of(netip.Addr) string { return "" }

// classifier is shared, because compiling the list of robots takes some milliseconds.
var classifier = sync.OnceValue(func() *visit.Classifier {
	agents, err := useragent.New()
	if err != nil {
		panic(err)
	}
	c, err := visit.New(agents, noCountries{})
	if err != nil {
		panic(err)
	}
	return c
})

// newServerOver starts a server over any kind of database. Its clock starts at begin.
func newServerOver(t testing.TB, d database, leaser idgen.Leaser, begin time.Time, change ...func(*options)) *server {
	t.Helper()
	ctx := context.Background()
	logger := slog.New(slog.DiscardHandler)
	s := &server{
		t:        t,
		clock:    &clock{now: begin},
		store:    d,
		registry: prometheus.NewRegistry(),
		keys:     new(sync.Map),
	}
	t.Cleanup(func() { *s = server{} }) // package testing keeps the functions of parallel tests, and so their servers
	minter, err := idgen.NewMinter(ctx, idgen.Options{Leaser: leaser})
	must(t, err)
	t.Cleanup(func() { must(t, minter.Close(ctx)) })
	cipher, err := idgen.NewCipher(bytes.Repeat([]byte{1, 2, 3, 4}, 8))
	must(t, err)
	s.clicks, err = clicks.New(clicks.Options{Sink: s.store, Visits: classifier(), Logger: logger, Registerer: s.registry})
	must(t, err)
	t.Cleanup(func() { must(t, s.clicks.Close(ctx)) })
	s.guard, err = overload.New(overload.Options{Registerer: s.registry, Bounds: withoutQueues(), Delay: func() time.Duration { return 0 }})
	must(t, err)
	admit := func(ctx context.Context) (func(), error) {
		place, err := s.guard.Admit(ctx, overload.Redirect, overload.Caller{})
		if err != nil {
			return nil, err
		}
		return place.Done, nil
	}
	cached, err := cache.New(cache.Options{Admit: admit, Store: s.store, MaxBytes: 1 << 20, StaleFor: cache.DefaultStaleFor, Logger: logger, Registerer: s.registry})
	must(t, err)
	opts := options{
		Options: api.Options{
			Clicks: s.clicks, ClickDays: s.store,
			Limiter: ratelimit.NewLocal(ratelimit.LocalOptions{Now: s.clock.Now}), Clients: proxies(t),
			BaseURL: baseURL, Version: "test", Guard: s.guard, Registerer: s.registry, Logger: logger,
		},
		Store: cached, Blocklist: s.store, Reports: s.store, Keys: s.store, Archive: s.store, History: s.store, Tags: s.store, Minter: idgen.NewCodes(minter, cipher, nil),
		AnonymousCreate: true, PasswordCost: bcrypt.MinCost,
		KeyKnown: func([sha256.Size]byte) bool { return false }, Now: s.clock.Now,
	}
	for _, f := range change {
		f(&opts)
	}
	opts.complete(cached)
	opts.Links, err = links.New(opts.links(t))
	must(t, err)
	opts.Abuse, err = abuse.New(abuse.Options{Blocklist: opts.Blocklist, Reports: opts.Reports, Secret: []byte("secret"), Now: opts.Now})
	must(t, err)
	s.access, err = access.New(access.Options{Keys: opts.Keys, Secret: []byte("secret"), Now: opts.Now})
	must(t, err)
	opts.Access = s.access
	opts.useDomains(t, d)
	handler, err := api.New(opts.Options)
	must(t, err)
	s.Server = httptest.NewServer(handler)
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() { s.Close() }) // without a reference to the handler
	return s
}

// useDomains makes the use cases on domains over a database. Verification sends its queries to a
// DNS server that does not exist. Without other Hosts, the domains of an embedded database are used.
func (o *options) useDomains(t testing.TB, d database) {
	t.Helper()
	known := domains.Options{Registerer: prometheus.NewRegistry(), Logger: o.Logger}
	if source, ok := d.(store.DomainsSource); ok {
		known.Sources = []domains.Source{{Name: "embedded", Domains: source}}
	}
	m, err := domains.New(t.Context(), known)
	must(t, err)
	if o.Hosts == nil {
		o.Hosts = m
	}
	rules, err := store.NewRules(o.links(t).Rules)
	must(t, err)
	base, err := api.ParseBaseURL(o.BaseURL)
	must(t, err)
	use := domains.ServiceOptions{
		Store: d, Map: m, Links: o.Store, Keys: d, Minter: domainIDs{}, Rules: rules, Secret: []byte("secret"),
		BaseHost: base.Hostname(), DNSServer: "127.0.0.1:1", Registerer: prometheus.NewRegistry(), Logger: o.Logger,
	}
	if o.AppURL != "" {
		app, err := api.ParseAppURL(o.AppURL, base)
		must(t, err)
		use.AppHost = app.Hostname()
	}
	if o.UseDomains != nil {
		o.UseDomains(&use)
	}
	o.Domains, err = domains.NewService(use)
	must(t, err)
}

// domainIDs mints the IDs of domains.
type domainIDs struct{}

func (domainIDs) NextCode() (string, error) { return rand.Text()[:9], nil }

// in returns the server for a subtest.
func (s *server) in(t testing.TB) *server {
	within := *s
	within.t = t
	return &within
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is a response with its body read.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// do sends a request. headers are alternating names and values.
func (s *server) do(method, path string, body []byte, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequest(method, s.URL+path, bytes.NewReader(body))
	must(s.t, err)
	r.Host = s.host
	r.Header.Set("User-Agent", testenv.Browser)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "User-Agent" {
			r.Header.Del(headers[i])
		}
		r.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := s.Client().Do(r)
	must(s.t, err)
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	must(s.t, err)
	return answer{s.t, response.StatusCode, response.Header, got}
}

func (s *server) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, nil, headers...)
}

// send sends a JSON body. A string is sent unchanged, other values are marshalled.
func (s *server) send(method, path string, body any, headers ...string) answer {
	s.t.Helper()
	raw, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		must(s.t, err)
		raw = string(b)
	}
	return s.do(method, path, []byte(raw), append([]string{"Content-Type", "application/json"}, headers...)...)
}

// create creates a link and returns it.
func (s *server) create(body any, headers ...string) linkJSON {
	s.t.Helper()
	a := s.send(http.MethodPost, "/api/v1/links", body, headers...)
	if a.status != http.StatusCreated {
		s.t.Fatalf("create(%v) = %d %s, want 201", body, a.status, a.body)
	}
	return a.link()
}

// key returns the name and value of an Authorization header with a key of the given scopes.
func (s *server) key(name string, scopes ...store.Scope) []string {
	s.t.Helper()
	token, known := s.keys.Load(name)
	if !known {
		made, hash := store.NewToken()
		must(s.t, s.store.CreateKey(context.Background(), store.Key{
			ID: store.NewKeyID(), Name: name, Hash: hash, Scopes: scopes, CreatedAt: s.clock.Now(),
		}))
		token, _ = s.keys.LoadOrStore(name, made)
	}
	return []string{"Authorization", "Bearer " + token.(string)}
}

// owner returns the Authorization header of a key that may read and write links.
func (s *server) owner(name string) []string {
	s.t.Helper()
	return s.key(name, store.ScopeLinksRead, store.ScopeLinksWrite)
}

// linkJSON is a link as a client reads it.
type linkJSON = client.Link

func (a answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("answer %d is not JSON: %v: %s", a.status, err, a.body)
	}
}

func (a answer) link() (l linkJSON) {
	a.t.Helper()
	a.into(&l)
	return l
}

// problemJSON is an error as a client reads it.
type problemJSON struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
		Value    any    `json:"value"`
	} `json:"errors"`
}

// problem checks the format of an error answer and returns the locations of its errors.
func (a answer) problem(status int) string {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("answer = %d %.300s, want %d", a.status, a.body, status)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		a.t.Errorf("Content-Type of a %d = %q, want application/problem+json", status, ct)
	}
	if got := a.header.Get("X-Content-Type-Options"); got != "nosniff" {
		a.t.Errorf("X-Content-Type-Options of a %d = %q, want nosniff", status, got)
	}
	var p problemJSON
	a.into(&p)
	if p.Status != status || !strings.HasPrefix(p.Type, "urn:terse:problem:") || p.Title == "" {
		a.t.Errorf("problem = %+v, want status %d, a type and a title", p, status)
	}
	var locations []string
	for _, e := range p.Errors {
		if e.Value != nil {
			a.t.Errorf("problem echoes the value %v of %s", e.Value, e.Location)
		}
		locations = append(locations, e.Location)
	}
	return strings.Join(locations, " ")
}

// proxies parses a list of trusted proxies.
func proxies(t testing.TB, cidrs ...string) ratelimit.Proxies {
	t.Helper()
	p, err := ratelimit.ParseProxies(cidrs)
	must(t, err)
	return p
}

// limit parses a rate limit.
func limit(t testing.TB, s string) ratelimit.Limit {
	t.Helper()
	l, err := ratelimit.ParseLimit(s)
	must(t, err)
	return l
}
