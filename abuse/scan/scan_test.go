package scan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/abuse/blocklist"
	"github.com/terse/terse/abuse/scan"
	"github.com/terse/terse/abuse/webrisk"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a store with a blocklist and a reputation service.
type bench struct {
	t        *testing.T
	database *sqlite.Store
	links    *cache.Cache
	useCases *links.Service
	list     *blocklist.List
	service  *service
	client   *webrisk.Client
	registry *prometheus.Registry
	skew     atomic.Int64 // added to the time of the database and the workers, in nanoseconds
}

// service stands in for Google Web Risk, which tests cannot reach. It reports targets
// with /bad in them.
type service struct {
	*httptest.Server
	down  atomic.Bool
	mu    sync.Mutex
	asked map[string]int
}

func newService(t *testing.T) *service {
	s := &service{asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := r.URL.Query().Get("uri")
		s.mu.Lock()
		s.asked[target]++
		s.mu.Unlock()
		switch {
		case s.down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.Contains(target, "/bad"):
			_ = json.NewEncoder(w).Encode(map[string]any{"threat": map[string]any{"threatTypes": []string{"SOCIAL_ENGINEERING"}}})
		default:
			fmt.Fprint(w, "{}")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) times(target string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[target]
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, service: newService(t), registry: prometheus.NewRegistry()}
	logger := slog.New(slog.DiscardHandler)
	var err error
	b.database = sqlitetest.Open(t, func(o *sqlite.Options) { o.Now = b.now })
	b.links, err = cache.New(cache.Options{Store: b.database, Logger: logger, Registerer: prometheus.NewRegistry()})
	b.must(err)
	b.useCases, err = links.New(links.Options{
		Store: b.links, Archive: b.database, History: b.database, Tags: b.database, Minter: noCodes{}, Keys: b.database, BaseURL: "https://go.terse.example", Clock: b, Registerer: prometheus.NewRegistry(),
	})
	b.must(err)
	b.list, err = blocklist.New(t.Context(), blocklist.Options{
		Sources: []blocklist.Source{{Name: "s1", List: b.database}}, Every: 5 * time.Millisecond,
		Logger: logger, Registerer: prometheus.NewRegistry(),
	})
	b.must(err)
	b.background(b.list.Run)
	b.client, err = webrisk.New(webrisk.Options{Key: "key", API: b.service.URL, Rate: 1e6, Registerer: prometheus.NewRegistry()})
	b.must(err)
	t.Cleanup(b.client.Close)
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) now() time.Time { return time.Now().Add(time.Duration(b.skew.Load())) }

// LinkTime implements links.Clock.
func (b *bench) LinkTime() (time.Time, bool) { return b.now(), true }

// noCodes mints no codes.
type noCodes struct{ links.Minter }

// background runs a function until stop is called or the test ends.
func (b *bench) background(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	b.t.Cleanup(stop)
	return stop
}

// work starts a Worker. It uses the reputation service if checks is true.
func (b *bench) work(checks bool, change ...func(*scan.Options)) (stop func()) {
	b.t.Helper()
	opts := scan.Options{
		Sources: []scan.Source{{Name: "s1", Links: b.database}}, Links: b.useCases, History: b.database, Blocklist: b.list,
		Every: 5 * time.Millisecond, Settle: 20 * time.Millisecond, Late: 20 * time.Millisecond, Now: b.now,
		Logger: slog.New(slog.DiscardHandler), Registerer: b.registry,
	}
	if checks {
		opts.Checker = b.client
	}
	for _, f := range change {
		f(&opts)
	}
	w, err := scan.New(opts)
	b.must(err)
	return b.background(w.Run)
}

func (b *bench) create(code, target string) {
	b.t.Helper()
	now := b.now().UTC().Truncate(time.Microsecond)
	_, err := b.links.Create(b.t.Context(), store.Link{Code: code, URL: target, Status: 302, CreatedAt: now, UpdatedAt: now})
	b.must(err)
}

// owned creates a link of the key key_owner.
func (b *bench) owned(code, target string) {
	b.t.Helper()
	now := b.now().UTC().Truncate(time.Microsecond)
	_, err := b.links.Create(b.t.Context(), store.Link{Code: code, Owner: "key_owner", URL: target, Status: 302, CreatedAt: now, UpdatedAt: now})
	b.must(err)
}

func (b *bench) edit(code string, change func(l *store.Link)) {
	b.t.Helper()
	l, err := b.links.Get(b.t.Context(), code)
	b.must(err)
	change(&l)
	l.UpdatedAt = b.now().UTC().Truncate(time.Microsecond)
	_, err = b.links.Update(store.WithAuthor(b.t.Context(), store.Author{ID: "key_admin"}), l)
	b.must(err)
}

func (b *bench) disabled(code string) bool {
	b.t.Helper()
	l, err := b.links.Resolve(b.t.Context(), code)
	b.must(err)
	return !l.DisabledAt.IsZero()
}

func (b *bench) block(host string) {
	b.t.Helper()
	b.must(b.database.BlockHost(b.t.Context(), store.BlockedHost{Pattern: store.HostPattern{Host: host}}))
}

// wantDisabled waits until a link is disabled, and checks the author and the reason.
func (b *bench) wantDisabled(code, author, reason string) {
	b.t.Helper()
	testenv.Await(b.t, code+" to be disabled", func() bool { return b.disabled(code) })
	revisions, err := b.database.Revisions(b.t.Context(), code, 0, 1)
	b.must(err)
	if r := revisions[0]; r.Author.ID != author || r.Link.DisabledReason != reason {
		b.t.Errorf("%s was disabled by %q, %q, want %q, %q", code, r.Author.ID, r.Link.DisabledReason, author, reason)
	}
}

const warning = "Google Web Risk warns of it: phishing"

func TestLinksToBlockedHostsAreDisabled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 1300 { // several pages
		b.create(fmt.Sprintf("good-%d", i), "https://example.com/")
	}
	for _, code := range []string{"a-first", "m-middle", "z-last"} {
		b.create(code, "https://www.EVIL.example:8443/"+code)
	}
	b.create("other", "https://notevil.example/")
	if b.disabled("a-first") {
		t.Fatal("a link is disabled before its host was blocked")
	}
	b.work(false)
	b.block("evil.example")
	for _, code := range []string{"a-first", "m-middle", "z-last"} {
		b.wantDisabled(code, store.AuthorBlocklist, "leads to a host that is blocked")
	}
	b.create("late", "https://late.example/")
	b.block("late.example")
	b.wantDisabled("late", store.AuthorBlocklist, "leads to a host that is blocked")
	for _, code := range []string{"good-7", "other"} {
		if b.disabled(code) {
			t.Errorf("%s is disabled, but leads to another host", code)
		}
	}

	b.must(b.database.UnblockHost(t.Context(), store.HostPattern{Host: "evil.example"}))
	if !b.disabled("m-middle") {
		t.Error("unblocking a host enabled a link")
	}
	testenv.Await(b.t, "the end of the block to be known", func() bool { return !b.list.Blocks("evil.example") })
	b.edit("m-middle", func(l *store.Link) { l.DisabledAt, l.DisabledReason = time.Time{}, "" })
	b.block("third.example") // starts another walk
	b.create("third", "https://third.example/")
	b.wantDisabled("third", store.AuthorBlocklist, "leads to a host that is blocked")
	if b.disabled("m-middle") {
		t.Error("a link was disabled although its host is no longer blocked")
	}
}

// watched counts reads of links and saves of the state of a scan.
type watched struct {
	store.Scanned
	reads, saves atomic.Int64
}

func (w *watched) Export(ctx context.Context, after string, limit int) ([]store.Link, error) {
	w.reads.Add(1)
	return w.Scanned.Export(ctx, after, limit)
}

func (w *watched) SaveScan(ctx context.Context, name, holder, state string, hold time.Duration) error {
	w.saves.Add(1)
	return w.Scanned.SaveScan(ctx, name, holder, state, hold)
}

func TestEmptyListReadsNoLinks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create("first", "https://evil.example/")
	links := &watched{Scanned: b.database}
	b.work(false, func(o *scan.Options) { o.Sources[0].Links = links })
	testenv.Await(b.t, "the state of the empty list is saved", func() bool { return links.saves.Load() > 0 })
	if n := links.reads.Load(); n != 0 {
		t.Errorf("links were read %d times for an empty list, want 0", n)
	}
	b.block("evil.example")
	b.wantDisabled("first", store.AuthorBlocklist, "leads to a host that is blocked")
}

// hosts returns the hosts of a source.
func (b *bench) hosts(source store.DomainsSource) *domains.Map {
	b.t.Helper()
	m, err := domains.New(b.t.Context(), domains.Options{
		Sources: []domains.Source{{Name: "s1", Domains: source}}, Every: 5 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	b.must(err)
	b.background(m.Run)
	return m
}

// addDomain adds a domain with hosts, and returns the last host.
func (b *bench) addDomain(id string, state store.DomainState, verified time.Time, names ...string) (last store.DomainHost) {
	b.t.Helper()
	for _, name := range names {
		last = store.DomainHost{Host: name, DomainID: id, ClaimedAt: b.now(), VerifiedAt: verified}
		_, err := b.database.ClaimHost(b.t.Context(), last)
		b.must(err)
	}
	_, err := b.database.AddDomain(b.t.Context(), store.Domain{ID: id, Host: names[0], State: state, CreatedAt: b.now(), UpdatedAt: b.now()})
	b.must(err)
	return last
}

// TestLinksToOwnHostsAreDisabled checks that links to a host are disabled once a domain has the host
// and the host is verified.
func TestLinksToOwnHostsAreDisabled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hosts := b.hosts(b.database)
	for code, target := range map[string]string{
		"same": "https://GO.example.com./spring", "port": "http://go.example.com:8443/", "below": "https://any.links.example/x",
		"claimed": "https://claimed.example/", "removed": "https://removed.example/", "other": "https://www.go.example.com/", "deeper": "https://a.any.links.example/",
	} {
		b.create(code, target)
	}
	b.work(false, func(o *scan.Options) { o.Own = hosts })
	b.addDomain("removed00", store.DomainRemoved, b.now(), "removed.example")
	claimed := b.addDomain("pending00", store.DomainPending, time.Time{}, "claimed.example")
	b.addDomain("active000", store.DomainActive, b.now(), "go.example.com", "*.links.example")
	const reason = "leads to a host of this URL shortener"
	for _, code := range []string{"same", "port", "below"} {
		b.wantDisabled(code, store.AuthorDomains, reason)
	}
	for _, code := range []string{"claimed", "removed", "other", "deeper"} {
		if b.disabled(code) {
			t.Errorf("%s is disabled, but does not lead to a host that is ours", code)
		}
	}
	claimed.VerifiedAt = b.now()
	b.must(b.database.UpdateHost(t.Context(), claimed.DomainID, claimed))
	b.wantDisabled("claimed", store.AuthorDomains, reason)
}

// restless is hosts that change all the time.
type restless struct {
	scan.Hosts

	changes atomic.Int64
}

func (r *restless) Fingerprint() string { return fmt.Sprint(r.changes.Add(1)) }

func (r *restless) Serves(host string) bool { return host == "go.example.com" }

func (r *restless) AnyVerified() bool { return true }

func (r *restless) Missed(int) (since time.Time, latest int) { return time.Time{}, 0 }

// TestChangesDoNotDelayTheScan checks that links are scanned while the hosts change more often than
// Settle.
func TestChangesDoNotDelayTheScan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create("loop", "https://go.example.com/spring")
	b.work(false, func(o *scan.Options) { o.Own = new(restless) })
	b.wantDisabled("loop", store.AuthorDomains, "leads to a host of this URL shortener")
}

func TestAllLinksAreHeldAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.block("evil.example")
	b.create("first", "https://evil.example/") // as on a node that has not read the blocklist yet
	b.work(false)
	b.wantDisabled("first", store.AuthorBlocklist, "leads to a host that is blocked")
	b.create("second", "https://evil.example/")
	b.skew.Add(int64(25 * time.Hour))
	b.wantDisabled("second", store.AuthorBlocklist, "leads to a host that is blocked")
}

// unread is a blocklist that cannot be read while it is on.
type unread struct {
	store.BlocklistSource
	on atomic.Bool
}

func (u *unread) BlocklistVersion(ctx context.Context) (int64, error) {
	if u.on.Load() {
		return 0, store.ErrUnavailable
	}
	return u.BlocklistSource.BlocklistVersion(ctx)
}

// TestMissedBlocklist checks that a process that could not read the blocklist disables the
// links that it accepted meanwhile, although another process has compared all links before.
func TestMissedBlocklist(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.work(false)
	b.block("evil.example")
	b.create("before", "https://evil.example/")
	b.wantDisabled("before", store.AuthorBlocklist, "leads to a host that is blocked")

	source := &unread{BlocklistSource: b.database}
	source.on.Store(true)
	list, err := blocklist.New(t.Context(), blocklist.Options{
		Sources: []blocklist.Source{{Name: "s1", List: source}}, Every: 5 * time.Millisecond, Now: b.now,
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	b.must(err)
	b.background(list.Run)
	links := &watched{Scanned: b.database}
	b.work(false, func(o *scan.Options) {
		o.Sources = []scan.Source{{Name: "s1", Links: links}}
		o.Blocklist, o.Registerer = list, prometheus.NewRegistry()
	})
	for i := range 600 { // two pages
		b.create(fmt.Sprintf("good-%d", i), "https://example.com/")
	}
	b.create("meanwhile", "https://evil.example/")
	if b.disabled("meanwhile") {
		t.Error("the link is disabled before the blocklist can be read")
	}
	source.on.Store(false)
	b.wantDisabled("meanwhile", store.AuthorBlocklist, "leads to a host that is blocked")
	if n := links.reads.Load(); n != 0 {
		t.Errorf("the process has compared all links in %d reads, want only the new ones", n)
	}
}

// unreadDomains are domains that cannot be read while unread is true.
type unreadDomains struct {
	store.DomainsSource
	unread atomic.Bool
}

func (u *unreadDomains) DomainsVersion(ctx context.Context) (int64, error) {
	if u.unread.Load() {
		return 0, store.ErrUnavailable
	}
	return u.DomainsSource.DomainsVersion(ctx)
}

// TestMissedDomains is TestMissedBlocklist for a process that could not read the domains at its start.
func TestMissedDomains(t *testing.T) {
	t.Parallel()
	const reason = "leads to a host of this URL shortener"
	b := newBench(t)
	b.create("before", "https://go.example.com/")
	b.addDomain("active000", store.DomainActive, b.now(), "go.example.com")
	b.work(false, func(o *scan.Options) { o.Own = b.hosts(b.database) })
	b.wantDisabled("before", store.AuthorDomains, reason)

	source := &unreadDomains{DomainsSource: b.database}
	source.unread.Store(true)
	links := &watched{Scanned: b.database}
	b.work(false, func(o *scan.Options) {
		o.Sources = []scan.Source{{Name: "s1", Links: links}}
		o.Own, o.Registerer = b.hosts(source), prometheus.NewRegistry()
	})
	b.create("meanwhile", "https://go.example.com/spring")
	if b.disabled("meanwhile") {
		t.Error("the link is disabled before the domains can be read")
	}
	source.unread.Store(false)
	b.wantDisabled("meanwhile", store.AuthorDomains, reason)
	if n := links.reads.Load(); n != 0 {
		t.Errorf("the process has compared all links in %d reads, want only the new ones", n)
	}
}

func TestLinksAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 120 { // several pages
		b.create(fmt.Sprintf("old-%d", i), fmt.Sprintf("https://example.com/%d", i))
	}
	b.create("zz-old-bad", "https://example.com/bad/old")
	b.create("turned", "https://example.com/fine")
	b.work(true)
	b.wantDisabled("zz-old-bad", store.AuthorReputation, warning)
	b.create("new", "https://example.com/bad/new")
	b.wantDisabled("new", store.AuthorReputation, warning)
	b.edit("turned", func(l *store.Link) { l.URL = "https://example.com/bad/turned" })
	b.wantDisabled("turned", store.AuthorReputation, warning)
	b.create("fine", "https://example.com/new")
	testenv.Await(b.t, "the last link to be checked", func() bool { return b.service.times("https://example.com/new") > 0 })
	for _, code := range []string{"old-7", "fine"} {
		if b.disabled(code) {
			t.Errorf("%s is disabled without a warning", code)
		}
	}
}

func TestAllLinksAreCheckedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const target = "https://example.com/good"
	b.create("again", target)
	// The clock of the workers runs ahead of the time of edits.
	b.work(true, func(o *scan.Options) { o.Late = 30 * time.Hour })
	testenv.Await(b.t, "the first check", func() bool { return b.service.times(target) > 0 })
	b.create("bad", "https://example.com/bad")
	b.wantDisabled("bad", store.AuthorReputation, warning)
	before := b.service.times(target)
	// A person decides that the service is wrong.
	b.edit("bad", func(l *store.Link) { l.DisabledAt, l.DisabledReason = time.Time{}, "" })
	b.skew.Add(int64(25 * time.Hour))
	testenv.Await(b.t, "another check", func() bool { return b.service.times(target) > before && b.service.times("https://example.com/bad") > 1 })
	b.create("next", "https://example.com/bad/next")
	b.wantDisabled("next", store.AuthorReputation, warning)
	if b.disabled("bad") {
		t.Error("an enabled link was disabled again for the same target")
	}
	b.edit("bad", func(l *store.Link) { l.URL = "https://example.com/bad/other" })
	b.wantDisabled("bad", store.AuthorReputation, warning)
}

// TestOnlyAnEnableOfTheTargetOverrules checks that a link that was disabled for a target is
// disabled for it again, unless an admin enabled the link with exactly this target.
func TestOnlyAnEnableOfTheTargetOverrules(t *testing.T) {
	t.Parallel()
	const bad, clean = "https://example.com/bad", "https://example.com/clean"
	owner := &links.Caller{Key: &store.Key{ID: "key_owner", Scopes: []store.Scope{store.ScopeLinksRead, store.ScopeLinksWrite}}}
	admin := &links.Caller{Key: &store.Key{ID: "key_admin", Scopes: []store.Scope{store.ScopeAdmin}}}
	b := newBench(t)
	b.work(true)
	point := func(code, target string) {
		t.Helper()
		_, err := b.useCases.Edit(t.Context(), owner, code, links.Edit{URL: new(target)})
		b.must(err)
	}
	enable := func(code string) {
		t.Helper()
		_, err := b.useCases.Enable(t.Context(), admin, code, nil, "looks clean")
		b.must(err)
	}
	later := 0
	stays := func(code string) { // until a later link is disabled
		t.Helper()
		later++
		last := fmt.Sprint("later-", later)
		b.owned(last, bad)
		b.wantDisabled(last, store.AuthorReputation, warning)
		if b.disabled(code) {
			t.Errorf("%s is disabled, but an admin enabled it with this target", code)
		}
	}

	b.owned("rolled-back", bad)
	b.wantDisabled("rolled-back", store.AuthorReputation, warning)
	point("rolled-back", clean)
	enable("rolled-back")
	_, err := b.useCases.RollBack(t.Context(), owner, "rolled-back", links.RollBack{To: 1})
	b.must(err)
	b.wantDisabled("rolled-back", store.AuthorReputation, warning)
	enable("rolled-back")
	stays("rolled-back")
	point("rolled-back", clean)
	point("rolled-back", bad)
	stays("rolled-back")

	// A later takedown by an admin counts more than an earlier enable.
	_, err = b.useCases.Disable(t.Context(), admin, "rolled-back", nil, "phishing")
	b.must(err)
	point("rolled-back", clean)
	enable("rolled-back")
	point("rolled-back", bad)
	b.wantDisabled("rolled-back", store.AuthorReputation, warning)

	// An enable counts after a takedown by anybody and for any target.
	b.owned("by-hand", clean)
	_, err = b.useCases.Disable(t.Context(), admin, "by-hand", nil, "spam")
	b.must(err)
	point("by-hand", bad)
	enable("by-hand")
	stays("by-hand")
}

// TestServiceDown checks that links stay live while the reputation service is down,
// and that all are checked once it is up.
func TestServiceDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.service.down.Store(true)
	b.work(true)
	b.create("first", "https://example.com/bad/1")
	testenv.Await(b.t, "the failure to be counted", func() bool {
		families, err := b.registry.Gather()
		b.must(err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "terse_scan_failures_total" && m.GetCounter().GetValue() > 0 {
					return true
				}
			}
		}
		return false
	})
	b.create("second", "https://example.com/bad/2")
	if b.disabled("first") || b.disabled("second") {
		t.Error("a link was disabled without an answer of the service")
	}
	b.service.down.Store(false)
	// The breaker of the first client stays open for 30 s, so a new client is used.
	var err error
	b.client, err = webrisk.New(webrisk.Options{Key: "key", API: b.service.URL, Rate: 1e6, Registerer: prometheus.NewRegistry()})
	b.must(err)
	t.Cleanup(b.client.Close)
	b.registry = prometheus.NewRegistry()
	b.skew.Add(int64(2 * time.Minute)) // the claim of the first worker has expired
	b.work(true)
	b.wantDisabled("first", store.AuthorReputation, warning)
	b.wantDisabled("second", store.AuthorReputation, warning)
}

// oneFails is a checker that fails for one target, and records whether the checks of
// other targets were canceled because of it.
type oneFails struct {
	failed  chan struct{} // closed with the first failure
	once    sync.Once
	dropped atomic.Bool
}

func (f *oneFails) Check(ctx context.Context, target string) (string, error) {
	if strings.HasSuffix(target, "/fails") {
		f.once.Do(func() { close(f.failed) })
		return "", errors.New("unreachable")
	}
	<-f.failed
	select {
	case <-ctx.Done():
		f.dropped.Store(true)
		return "", ctx.Err()
	case <-time.After(100 * time.Millisecond): // time for a wrong cancel to arrive
		return warning, nil
	}
}

// TestOneFailureEndsNoOther checks that a failed check does not cancel the checks that
// run at the same time: one of these may be the probe of an open breaker.
func TestOneFailureEndsNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	checker := &oneFails{failed: make(chan struct{})}
	b.create("a", "https://example.com/fails")
	b.create("b", "https://example.com/other")
	b.work(true, func(o *scan.Options) { o.Checker, o.Late = checker, time.Minute }) // both links in one round
	b.wantDisabled("b", store.AuthorReputation, warning)
	if checker.dropped.Load() {
		t.Error("a check was canceled because another one failed")
	}
}

// TestOwnLinksAreNotChecked checks that links of the system are not sent to the
// service.
func TestOwnLinksAreNotChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now := b.now().UTC().Truncate(time.Microsecond)
	_, err := b.links.Create(t.Context(), store.Link{
		Code: "canary", Owner: "system", URL: "https://example.com/bad/own", Status: 302, CreatedAt: now, UpdatedAt: now,
	})
	b.must(err)
	b.create("other", "https://example.com/bad/1")
	b.work(true, func(o *scan.Options) { o.Except = "system" })
	b.wantDisabled("other", store.AuthorReputation, warning)
	if b.disabled("canary") {
		t.Error("a link of the excepted owner was checked")
	}
}

// TestAnotherGoesOn checks that a second worker continues where the first stopped, also
// with links created while no worker ran.
func TestAnotherGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stop := b.work(true)
	b.create("first", "https://example.com/bad/1")
	b.wantDisabled("first", store.AuthorReputation, warning)
	stop()
	b.create("meanwhile", "https://example.com/bad/2")
	b.registry = prometheus.NewRegistry()
	b.skew.Add(int64(time.Hour))
	b.work(true)
	b.wantDisabled("meanwhile", store.AuthorReputation, warning)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := scan.New(scan.Options{Every: -1})
	for _, want := range []string{"Sources", "Links", "History", "Blocklist", "Logger", "Registerer", "positive"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want an error that names %s", err, want)
		}
	}
}

// TestTargetsOfRules checks that scans read the targets of rules.
func TestTargetsOfRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ruled := func(code, target string) {
		b.create(code, "https://example.com/")
		b.edit(code, func(l *store.Link) {
			l.Rules = `[{"if":{"device":["ios"]},"to":"https://example.com/app"},{"split":[{"to":"https://example.com/a","weight":1},{"to":"` + target + `","weight":1}]}]`
		})
	}
	ruled("blocked", "https://www.evil.example/")
	ruled("reported", "https://example.org/bad")
	ruled("good", "https://example.org/good")
	b.work(true)
	b.block("evil.example")
	b.wantDisabled("blocked", store.AuthorBlocklist, "leads to a host that is blocked")
	b.wantDisabled("reported", store.AuthorReputation, warning)
	testenv.Await(t, "all targets to be checked", func() bool { return b.service.times("https://example.org/good") > 0 })
	if b.disabled("good") {
		t.Error("a link with good targets is disabled")
	}

	// The enable of a link counts for its rules, and not for others.
	b.edit("reported", func(l *store.Link) { l.DisabledAt, l.DisabledReason = time.Time{}, "" })
	b.edit("reported", func(l *store.Link) { l.Rules = `[{"to":"https://example.org/bad/2"}]` })
	b.wantDisabled("reported", store.AuthorReputation, warning)
}
