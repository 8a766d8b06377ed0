package domains_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// openMap returns a map of one source that is not refreshed.
func openMap(tb testing.TB, s store.DomainsSource) *domains.Map {
	tb.Helper()
	m, err := domains.New(tb.Context(), domains.Options{
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Sources: []domains.Source{{Name: "s1", Domains: s}},
	})
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	return m
}

// newMap returns a map of the sources that Run refreshes until the test ends.
func newMap(tb testing.TB, reg *prometheus.Registry, sources ...store.DomainsSource) *domains.Map {
	tb.Helper()
	opts := domains.Options{Registerer: reg, Logger: slog.New(slog.DiscardHandler), Every: 5 * time.Millisecond}
	for i, s := range sources {
		opts.Sources = append(opts.Sources, domains.Source{Name: fmt.Sprintf("s%d", i+1), Domains: s})
	}
	m, err := domains.New(tb.Context(), opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	tb.Cleanup(func() {
		stop()
		<-done
	})
	return m
}

// idOf returns the id of the domain that has a host, or "".
func idOf(m *domains.Map, host string) string {
	d, known := m.Find(host)
	if known != (d != nil) {
		return "known without a domain, or a domain that is not known"
	}
	if !known {
		return ""
	}
	return d.ID
}

// TestFind finds domains by about a thousand spellings of hosts. A spelling is one of the domain's
// or unknown, and never one of another domain.
func TestFind(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	const plain, idn, wild, deep, upper = "plain0000", "idn000000", "wild00000", "deep00000", "punycode0"
	add(t, s, plain, "go.example.com", "www.go.example.com")
	add(t, s, idn, "xn--bcher-kva.example")
	add(t, s, wild, "*.links.example")
	add(t, s, deep, "own.links.example", "*.own.links.example")
	add(t, s, upper, "a1.b-c.xn--p1ai")
	m := openMap(t, s)
	tried := 0
	want := func(id string, hosts ...string) {
		t.Helper()
		for _, host := range hosts {
			tried++
			if got := idOf(m, host); got != id {
				t.Errorf("Find(%q) = %q, want %q", host, got, id)
			}
		}
	}
	for id, names := range map[string][]string{
		plain: {"go.example.com", "www.go.example.com", "GO.example.com", "Go.Example.Com", "go。example。com", "ｇｏ.example.com", "go%2Eexample.com", "g%6F.example.com"},
		idn:   {"xn--bcher-kva.example", "XN--BCHER-KVA.example", "bücher.example", "BÜCHER.EXAMPLE", "bu\u0308cher.example", "b%C3%BCcher.example", "bücher．example"},
		wild:  {"a.links.example", "A.LINKS.EXAMPLE", "1.links.example", "a-b.links.example", "bücher.links.example", "_a.links.example", "xn--bcher-kva.links.example"},
		deep:  {"own.links.example", "OWN.links.example", "x.own.links.example", "X.Own.Links.Example"},
		upper: {"a1.b-c.xn--p1ai", "A1.B-C.XN--P1AI", "a1.b-c.рф", "A1.b-c.РФ"},
	} {
		for _, name := range names {
			for _, dots := range []string{"", ".", "..", "..."} {
				for _, port := range []string{"", ":", ":80", ":443", ":8080", ":0", ":65535", ":00080"} {
					want(id, name+dots+port)
				}
			}
			want("", name+":65536", name+":x", name+":-1", name+":80:80", name+": 80", name+":8\x000", name+"/", name+"\\", name+"@evil.example", name+"?", name+"#",
				"user@"+name, name+" ", name+"\n", name+"\r\nX: y", name+"\x00", "\x00"+name, "["+name+"]", "http://"+name, name+",other.example", name+"\xff",
				name+".evil.example", "evil-"+name+".evil", name+"%", name+"%00", name+"%2F", name+"%40evil.example", "."+name)
		}
	}
	want("", "", ".", "..", ":", ":80", "*", "*.", "com", "example.com", "example", "links.example", ".links.example", "a.b.links.example", "a.b.own.links.example", "a.b.c.links.example",
		"x.go.example.com", "notgo.example.com", "go.example.comx", "go-example.com", "goexample.com", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "::1", "[::ffff:1.2.3.4]",
		"0x7f000001", "2130706433", "1.links", "xn--.links.example", "xn--a-ü.links.example", "xn--bcher-kva", "bücher", "localhost", "go.example.com%", "go..example.com",
		strings.Repeat("a", 254), strings.Repeat("a", 300)+".links.example", strings.Repeat("a.", 500)+"links.example", strings.Repeat("ü", 2000), strings.Repeat("go.example.com.", 100),
		strings.Repeat(".", 5000), strings.Repeat("%61", 400)+".links.example")
	for c := range 256 {
		if name := string([]byte{byte(c)}) + "go.example.com"; idOf(m, name) == plain {
			t.Errorf("Find(%q) finds the domain of go.example.com", name)
		}
		tried++
	}
	if tried < 1000 {
		t.Errorf("%d spellings were tried, want at least 1000", tried)
	}
	if !m.Complete() || len(m.All()) != 5 {
		t.Errorf("Complete() = %v, All() = %d domains, want 5 domains of a complete map", m.Complete(), len(m.All()))
	}
	for _, id := range []string{plain, idn, wild, deep, upper} {
		if d, known := m.Domain(id); !known || d.ID != id || len(d.Hosts) == 0 {
			t.Errorf("Domain(%q) = %+v, %v, want the domain with its hosts", id, d, known)
		}
	}
	if d, known := m.Domain("unknown00"); known || d != nil {
		t.Errorf("Domain() of an unknown id = %+v, %v, want none", d, known)
	}
}

// FuzzFind checks that a host has the domain that its canonical form has.
func FuzzFind(f *testing.F) {
	for _, host := range []string{"go.example.com:80", "GO.example.com..", "bücher.example", "[::1]:80", "a..b", "1.2.3.4", "a.links.example"} {
		f.Add(host)
	}
	s := openStore(f)
	add(f, s, "plain0000", "go.example.com")
	add(f, s, "idn000000", "xn--bcher-kva.example")
	add(f, s, "wild00000", "*.links.example")
	m := openMap(f, s)
	f.Fuzz(func(t *testing.T, host string) {
		want := ""
		if name, err := store.CanonicalHost(host); err == nil {
			label, rest, _ := strings.Cut(name, ".")
			switch {
			case name == "go.example.com":
				want = "plain0000"
			case name == "xn--bcher-kva.example":
				want = "idn000000"
			case label != "" && rest == "links.example" && len(name) <= 253:
				want = "wild00000"
			}
		}
		if got := idOf(m, host); got != want {
			t.Errorf("Find(%q) = %q, want %q", host, got, want)
		}
	})
}

// down is a source that a test can make fail.
type down struct {
	store.DomainsSource

	mu   sync.Mutex
	down bool
}

func (d *down) set(isDown bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = isDown
}

func (d *down) DomainsVersion(ctx context.Context) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return 0, store.ErrUnavailable
	}
	return d.DomainsSource.DomainsVersion(ctx)
}

// TestSourcesAreFollowed uses two sources. A domain and its host are in different ones.
func TestSourcesAreFollowed(t *testing.T) {
	t.Parallel()
	one, two := openStore(t), &down{DomainsSource: openStore(t), down: true}
	claim := func(s store.Domains, id, host string) {
		t.Helper()
		_, err := s.ClaimHost(t.Context(), store.DomainHost{Host: host, DomainID: id, ClaimedAt: epoch})
		must(t, err)
	}
	add(t, one, "first0000", "first.example")
	claim(one, "second000", "second.example")
	add(t, two, "second000", "www.second.example")
	verified := func(s store.Domains, id, host string) {
		t.Helper()
		add(t, s, id, host)
		must(t, s.UpdateHost(t.Context(), id, store.DomainHost{Host: host, DomainID: id, ClaimedAt: epoch, VerifiedAt: epoch}))
	}
	verified(one, "wild00000", "*.links.example")
	verified(two, "exact0000", "exact.links.example")
	registry := prometheus.NewRegistry()
	began := time.Now()
	m := newMap(t, registry, one, two)
	if since, n := m.Missed(0); n != 0 || !since.IsZero() {
		t.Errorf("Missed() before the second source is read = %v, %d, want none", since, n)
	}
	if m.Complete() || idOf(m, "first.example") != "first0000" || idOf(m, "second.example") != "" || idOf(m, "www.second.example") != "" || len(m.All()) != 2 {
		t.Errorf("a map of one of two sources: Complete() = %v, domains = %q, %q, want false and the first", m.Complete(), idOf(m, "first.example"), idOf(m, "second.example"))
	}
	if got := idOf(m, "exact.links.example"); got != "" || !m.Serves("exact.links.example") {
		t.Errorf("Find() of a host that may have a domain of its own = %q, want none; Serves() = %v, want true", got, m.Serves("exact.links.example"))
	}
	two.set(false)
	testenv.Await(t, "the second source", m.Complete)
	testenv.Await(t, "the end of a missed period", func() bool { _, n := m.Missed(0); return n == 1 })
	if since, _ := m.Missed(0); since.Before(began) || since.After(time.Now()) {
		t.Errorf("Missed() = %v, want the start of the map", since)
	}
	if idOf(m, "second.example") != "second000" || idOf(m, "www.second.example") != "second000" {
		t.Error("a domain whose host is in another source is not found")
	}
	if exact, other := idOf(m, "exact.links.example"), idOf(m, "other.links.example"); exact != "exact0000" || other != "wild00000" {
		t.Errorf("Find() = %q and %q, want the domain of the host itself, and the domain of the wildcard", exact, other)
	}

	two.set(true)
	add(t, one, "third0000", "third.example")
	testenv.Await(t, "a domain that is added later", func() bool { return idOf(m, "third.example") == "third0000" })
	if !m.Complete() || idOf(m, "www.second.example") != "second000" {
		t.Error("the domains of an unreachable source are forgotten")
	}
	claim(two, "first0000", "www.first.example")
	d, err := two.Domain(t.Context(), "second000")
	must(t, err)
	d.State = store.DomainOff
	_, err = two.UpdateDomain(t.Context(), d)
	must(t, err)
	two.set(false)
	testenv.Await(t, "a host that is claimed during an outage", func() bool { return idOf(m, "www.first.example") == "first0000" })
	if d, known := m.Find("second.example"); !known || d.State != store.DomainOff || len(d.Hosts) != 2 {
		t.Errorf("Find() = %+v, %v, want the changed domain with two hosts", d, known)
	}
	must(t, one.ReleaseHost(t.Context(), "second.example", "second000"))
	testenv.Await(t, "a host that is released", func() bool { return idOf(m, "second.example") == "" })

	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP terse_domains_hosts Hosts of domains in every state, by the shard of the host.
# TYPE terse_domains_hosts gauge
terse_domains_hosts{shard="s1"} 3
terse_domains_hosts{shard="s2"} 3
`), "terse_domains_hosts"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "terse_domains_failures_total"); err != nil || n != 2 {
		t.Errorf("failures of %d shards, %v, want 2", n, err)
	}
}

// TestManyDomains reads more domains than one page has.
func TestManyDomains(t *testing.T) {
	t.Parallel()
	s := &made{n: 12_345}
	m := openMap(t, s)
	for i := range s.n {
		if got := idOf(m, hostName(i)); got != domainID(i) {
			t.Fatalf("Find(%q) = %q, want %q", hostName(i), got, domainID(i))
		}
	}
	if len(m.All()) != s.n {
		t.Errorf("All() = %d, want %d", len(m.All()), s.n)
	}
}

// made is a source with n domains of one host each.
type made struct {
	store.DomainsSource
	n int
}

func domainID(i int) string { return fmt.Sprintf("D%08d", i) }
func hostName(i int) string { return fmt.Sprintf("go.company-%08d.example", i) }

func (*made) DomainsVersion(context.Context) (int64, error) { return 1, nil }

func (m *made) ListDomains(_ context.Context, after string, limit int) ([]store.Domain, error) {
	var page []store.Domain
	for i := range m.n {
		if id := domainID(i); id > after && len(page) < limit {
			page = append(page, store.Domain{ID: id, Host: hostName(i), State: store.DomainActive, Version: 1})
		}
	}
	return page, nil
}

func (m *made) ListHosts(_ context.Context, after string, limit int) ([]store.DomainHost, error) {
	var page []store.DomainHost
	for i := range m.n {
		if host := hostName(i); host > after && len(page) < limit {
			page = append(page, store.DomainHost{Host: host, DomainID: domainID(i)})
		}
	}
	return page, nil
}

// TestFindDoesNotAllocate uses the spellings that clients send.
func TestFindDoesNotAllocate(t *testing.T) {
	s := openStore(t)
	add(t, s, "plain0000", "go.example.com")
	add(t, s, "idn000000", "xn--bcher-kva.example")
	add(t, s, "wild00000", "*.links.example")
	m := openMap(t, s)
	for _, host := range []string{"go.example.com", "go.example.com:8080", "GO.Example.com.", "a.links.example", "xn--bcher-kva.example", "unknown.example", "a.b.links.example:443"} {
		if n := testing.AllocsPerRun(100, func() { m.Find(host) }); n != 0 {
			t.Errorf("Find(%q) makes %v allocations, want none", host, n)
		}
	}
}

// BenchmarkFind looks up hosts among 10,000 domains.
func BenchmarkFind(b *testing.B) {
	m := openMap(b, &made{n: 10_000})
	hosts := []struct{ name, host string }{
		{"exact", hostName(7777)},
		{"port", hostName(7777) + ":8443"},
		{"capitals", strings.ToUpper(hostName(7777))},
		{"unknown", "www.unknown.example"},
		{"address", "192.0.2.1:8080"},
		{"idn", "bücher.example"},
	}
	for _, h := range hosts {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Find(h.host)
			}
		})
	}
}

// TestFingerprint checks that the fingerprint changes with the hosts that are served, and with nothing
// else.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	m, other := newMap(t, prometheus.NewRegistry(), s), newMap(t, prometheus.NewRegistry(), s)
	seen := map[string]bool{}
	before := m.Fingerprint()
	change := func(what string, changes bool, err error) {
		t.Helper()
		must(t, err)
		m.Refresh(t.Context())
		other.Refresh(t.Context())
		if got := m.Fingerprint(); (got != before) != changes || got != other.Fingerprint() || changes && seen[got] {
			t.Errorf("%s: fingerprint %s after %s, and %s of another process; want a change: %t", what, got, before, other.Fingerprint(), changes)
		}
		before = m.Fingerprint()
		seen[before] = true
	}
	id, host := newID(), newHost()
	add(t, s, id, host, "*."+host)
	change("an unverified domain", false, nil)
	h := store.DomainHost{Host: host, DomainID: id, ClaimedAt: epoch, VerifiedAt: epoch}
	change("a verified host", true, s.UpdateHost(t.Context(), id, h))
	h.Host = "*." + host
	change("a verified wildcard host", true, s.UpdateHost(t.Context(), id, h))
	d, err := s.Domain(t.Context(), id)
	must(t, err)
	d.Robots = store.RobotsDisallow
	d, err = s.UpdateDomain(t.Context(), d)
	change("an edit", false, err)
	change("a host less", true, s.ReleaseHost(t.Context(), host, id))
	d.State = store.DomainRemoved
	_, err = s.UpdateDomain(t.Context(), d)
	must(t, err)
	m.Refresh(t.Context())
	if m.Fingerprint() != newMap(t, prometheus.NewRegistry(), openStore(t)).Fingerprint() {
		t.Errorf("fingerprint of a removed domain = %s, want that of no domain", m.Fingerprint())
	}
}
