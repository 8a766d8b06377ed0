package domains_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

const baseHost = "sho.rt"

var (
	admin = caller("key_admin", store.ScopeAdmin)
	ann   = caller("key_ann", store.ScopeDomainsRead, store.ScopeDomainsWrite)
	bob   = caller("key_bob", store.ScopeDomainsRead, store.ScopeDomainsWrite)
)

func caller(id string, scopes ...store.Scope) *links.Caller {
	return &links.Caller{Key: &store.Key{ID: id, Scopes: scopes}}
}

// ids mints IDs.
type ids struct{}

func (ids) NextCode() (string, error) { return newID(), nil }

// bench is a service over an embedded database, a DNS server, and a web server that answers as a
// node does.
type bench struct {
	*domains.Service
	t     *testing.T
	store *sqlite.Store
	known *domains.Map
	dns   *testenv.DNS
	port  int
}

// newBench returns a bench over a new database. Run does not run.
func newBench(t *testing.T, change ...func(*domains.ServiceOptions)) *bench {
	t.Helper()
	b := &bench{t: t, store: openStore(t), dns: testenv.NewDNS(t)}
	var node atomic.Pointer[domains.Service]
	b.port = serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(r.URL.Path, domains.ChallengePath)
		answer, ok := node.Load().Challenge(r.Host, token)
		if !found || !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, answer)
	})
	b.open(change...)
	node.Store(b.Service)
	return b
}

// open makes the service anew, as a second process has it.
func (b *bench) open(change ...func(*domains.ServiceOptions)) {
	b.t.Helper()
	rules, err := store.NewRules(store.RulesOptions{OwnHosts: []string{baseHost}})
	must(b.t, err)
	b.known = newMap(b.t, prometheus.NewRegistry(), b.store)
	opts := domains.ServiceOptions{
		Store: b.store, Map: b.known, Links: b.store, Keys: b.store, Minter: ids{}, Rules: rules, Claimers: []domains.Claimer{b.store},
		Secret: []byte("secret"), BaseHost: baseHost, Port: b.port, DNSServer: b.dns.Addr(), Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Retry: 5 * time.Millisecond, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&opts)
	}
	b.Service, err = domains.NewService(opts)
	must(b.t, err)
}

// run runs the background work of the service until stop is called or the test ends.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	b.t.Cleanup(stop)
	return stop
}

// serve serves HTTP until the test ends, and returns the port.
func serve(t *testing.T, address string, h http.HandlerFunc) int {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	server.Start()
	t.Cleanup(server.Close)
	return l.Addr().(*net.TCPAddr).Port
}

// add adds a domain.
func (b *bench) add(who *links.Caller, host string, aliases ...string) domains.Domain {
	b.t.Helper()
	d, err := b.Add(b.t.Context(), who, domains.Addition{Host: host, Aliases: aliases})
	if err != nil {
		b.t.Fatalf("Add(%q) = %v, want nil", host, err)
	}
	return d
}

// prove sets the DNS records that a domain needs.
func (b *bench) prove(who *links.Caller, d *domains.Domain) {
	b.t.Helper()
	for _, r := range b.Records(who, d) {
		n := testenv.DNSName{Addrs: []string{"127.0.0.1"}}
		if r.Type == "TXT" {
			n = testenv.DNSName{TXT: []string{"v=spf1 -all", r.Value}}
		}
		b.dns.Set(r.Name, n)
	}
}

// verified adds a domain and verifies it.
func (b *bench) verified(who *links.Caller, host string, aliases ...string) domains.Domain {
	b.t.Helper()
	d := b.add(who, host, aliases...)
	b.prove(who, &d)
	d, checks, err := b.Verify(b.t.Context(), who, host)
	if err != nil || d.State != store.DomainActive {
		b.t.Fatalf("Verify(%q) = %+v, %+v, %v, want an active domain", host, d, checks, err)
	}
	return d
}

// field returns the fields that an error names.
func field(err error) string {
	var fields store.InvalidError
	if one, ok := errors.AsType[*store.FieldError](err); ok {
		return one.Field
	}
	errors.As(err, &fields)
	var names []string
	for _, f := range fields {
		names = append(names, f.Field)
	}
	return strings.Join(names, " ")
}

func TestHostsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, host := range []string{
		"", ".", "localhost", "com", "co.uk", "CO.UK.", "github.io", "example", "*.com", "*.co.uk", "公司.cn", "sho.rt", "SHO.RT.", "ｓｈｏ.rt", "s%68o.rt", "sho.rt:80", "go.example.com:8080",
		"127.0.0.1", "1.2.3.4", "0x7f000001", "2130706433", "127.1", "[::1]", "::1", "[::ffff:1.2.3.4]", "a b.example", "a_b.example", "-a.example", "a-.example", "a..example", ".a.example",
		"*.*.example", "a.*.example", "*a.example", "*.rt", "*.links.example", "user@go.example", "http://go.example", "go.example/x", "go.example?", "go.example#", "go.example\\", "go.example\x00", "go.example\n",
		"xn--.example", "xn--a-ü.example", "\xff.example", "%", "go%00.example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 130) + "example", strings.Repeat("ü", 600) + ".example", "go.example,b.example",
	} {
		if _, err := b.Add(t.Context(), admin, domains.Addition{Host: host, Verified: true}); field(err) != "host" {
			t.Errorf("Add(%q) = %v, want an error of the field host", host, err)
		}
	}
	if all, _, err := b.List(admin, "", 100); err != nil || len(all) != 0 {
		t.Errorf("List() = %+v, %v, want no domain", all, err)
	}
	many := make([]string, domains.MaxHosts)
	for i := range many {
		many[i] = "a" + strconv.Itoa(i) + ".example"
	}
	target := "https://go.example/x"
	for want, a := range map[string]domains.Addition{
		"aliases[0]":                   {Host: "go.example", Aliases: []string{"GO.example."}},
		"aliases[1]":                   {Host: "go.example", Aliases: []string{"a.example", "com"}},
		"aliases":                      {Host: "go.example", Aliases: many},
		"verified":                     {Host: "go.example", Verified: true},
		"host root_url ended_status":   {Host: "com", Settings: domains.Settings{Root: domains.Redirect{URL: new("javascript:1")}, Ended: domains.Redirect{URL: new("https://a.example"), Status: new(200)}}},
		"root_url":                     {Host: "go.example", Settings: domains.Settings{Root: domains.Redirect{URL: &target}}},
		"not_found_url":                {Host: "go.example", Settings: domains.Settings{NotFound: domains.Redirect{URL: new("https://Sho.rt./a")}}},
		"ended_url":                    {Host: "go.example", Aliases: []string{"*.a.example"}, Settings: domains.Settings{Ended: domains.Redirect{URL: new("http://x.a.example:8080")}}},
		"root_status not_found_status": {Host: "go.example", Settings: domains.Settings{Root: domains.Redirect{Status: new(301)}, NotFound: domains.Redirect{URL: new(""), Status: new(302)}}},
		"host":                         {Host: "go.example", Err: store.InvalidError{{Field: "host", Reason: "found before"}}},
	} {
		if _, err := b.Add(t.Context(), ann, a); field(err) != want {
			t.Errorf("Add(%+v) = %v, want errors of %s", a, err, want)
		}
	}
}

// TestVerifiedByItself adds a domain of an owner who is no admin, in another spelling, and sets the
// DNS records. Another process verifies it.
func TestVerifiedByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.add(ann, "BÜCHER.go.Example.", "*.links.example")
	if d.Host != "xn--bcher-kva.go.example" || d.State != store.DomainPending || d.Owner != "key_ann" || !store.ValidDomainID(d.ID) || len(d.Hosts) != 2 {
		t.Errorf("Add() = %+v, want a pending domain with two hosts", d)
	}
	if found, known := b.known.Find("bücher.go.example"); !known || found.State != store.DomainPending {
		t.Errorf("Find() = %+v, %v, want the pending domain at once", found, known)
	}
	if _, checks, err := b.Verify(t.Context(), ann, d.Host); err != nil || len(checks) != 2 || checks[0].Type != "TXT" || checks[0].OK || checks[0].Problem != "there is no such record" {
		t.Errorf("Verify() without records = %+v, %v, want the missing TXT record of each host", checks, err)
	}
	records := b.Records(ann, &d)
	if len(records) != 4 || records[0] != (domains.Record{Host: d.Host, Type: "CNAME", Name: d.Host, Value: baseHost}) || records[1].Name != "_terse."+d.Host ||
		records[2].Name != "*.links.example" || records[3].Name != "_terse.links.example" {
		t.Errorf("Records() = %+v, want the address and the proof of each host", records)
	}
	b.prove(ann, &d)
	for _, r := range records {
		if strings.HasPrefix(r.Name, "*") { // the server has no wildcards: set the name that is requested
			b.dns.Default(testenv.DNSName{CNAME: "sho.rt"})
			b.dns.Set("sho.rt", testenv.DNSName{Addrs: []string{"127.0.0.1"}})
		}
	}
	b.run()
	testenv.Await(t, "the domain to be active", func() bool {
		found, known := b.known.Find(d.Host)
		wild, _ := b.known.Find("any.links.example")
		return known && found.State == store.DomainActive && wild.State == store.DomainActive
	})
	got, err := b.Get(t.Context(), ann, "any-spelling-of.example")
	if !errors.Is(err, domains.ErrUnknown) {
		t.Errorf("Get() of an unknown host = %+v, %v, want ErrUnknown", got, err)
	}
	if got, err = b.Get(t.Context(), ann, "Bücher.GO.example"); err != nil || got.VerifiedAt.IsZero() || got.Hosts[0].VerifiedAt.IsZero() || got.ID != d.ID {
		t.Errorf("Get() = %+v, %v, want the verified domain", got, err)
	}
	queries := b.dns.Queries()
	other := *b
	other.open()
	stop := other.run()
	stop()
	if n := b.dns.Queries(); n != queries {
		t.Errorf("a verified domain is verified again with %d queries", n-queries)
	}
}

// TestWrongAnswers verifies hosts with wrong DNS records or wrong servers. The domain stays
// pending, and the check names the reason.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	port := ":" + strconv.Itoa(b.port)
	serve(t, "127.0.0.2"+port, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	serve(t, "127.0.0.3"+port, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path+r.Host) })
	serve(t, "127.0.0.4"+port, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1"+port+r.URL.Path, http.StatusFound)
	})
	serve(t, "127.0.0.5"+port, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var turn atomic.Int64
	serve(t, "127.0.0.6"+port, func(w http.ResponseWriter, r *http.Request) { // a balancer with a node of the version before
		answer, _ := b.Challenge(r.Host, strings.TrimPrefix(r.URL.Path, domains.ChallengePath))
		if turn.Add(1)%5 == 0 {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, answer)
	})
	serve(t, "127.0.0.7"+port, func(w http.ResponseWriter, r *http.Request) {
		answer, _ := b.Challenge(r.Host, strings.TrimPrefix(r.URL.Path, domains.ChallengePath))
		w.Header().Set("X-Long", strings.Repeat("a", 64<<10))
		_, _ = io.WriteString(w, answer)
	})
	for i, tt := range []struct {
		name    string
		is      testenv.DNSName
		problem string
		found   string
	}{
		{"no record", testenv.DNSName{TXT: []string{"x"}}, "there is no such record", ""},
		{"failure", testenv.DNSName{Fails: true}, "the DNS answered with an error", ""},
		{"silence", testenv.DNSName{Silent: true}, "the DNS did not answer in time", ""},
		{"lie", testenv.DNSName{Lies: true}, "", ""},
		{"loop", testenv.DNSName{CNAME: "loop.example"}, "", ""},
		{"private address", testenv.DNSName{Addrs: []string{"10.1.2.3"}}, "the name does not lead", "10.1.2.3: the address is private"},
		{"metadata of a cloud", testenv.DNSName{Addrs: []string{"127.0.0.1", "169.254.169.254"}}, "the name does not lead", "169.254.169.254: the address is private"},
		{"mapped private address", testenv.DNSName{Addrs: []string{"::ffff:10.1.2.3"}}, "the name does not lead", "10.1.2.3: the address is private"},
		{"loopback by IPv6", testenv.DNSName{Addrs: []string{"::1"}}, "the name does not lead", "::1: the address is private"},
		{"another program", testenv.DNSName{Addrs: []string{"127.0.0.2"}}, "the name does not lead", "127.0.0.2: status 404"},
		{"an echo", testenv.DNSName{Addrs: []string{"127.0.0.3"}}, "the name does not lead", "127.0.0.3: another text"},
		{"a redirect", testenv.DNSName{Addrs: []string{"127.0.0.4"}}, "the name does not lead", "127.0.0.4: status 302"},
		{"a server that hangs", testenv.DNSName{Addrs: []string{"127.0.0.5"}}, "the name does not lead", "127.0.0.5: no answer in time"},
		{"one of two addresses", testenv.DNSName{Addrs: []string{"127.0.0.1", "127.0.0.2"}}, "the name does not lead", "127.0.0.2: status 404"},
		{"one of several nodes", testenv.DNSName{Addrs: []string{"127.0.0.6"}}, "the name does not lead", "127.0.0.6: status 404"},
		{"a long header", testenv.DNSName{Addrs: []string{"127.0.0.7"}}, "the name does not lead", "127.0.0.7: no answer"},
		{"nobody listens", testenv.DNSName{Addrs: []string{"127.0.0.9"}}, "the name does not lead", "127.0.0.9: the connection was refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := "wrong" + strconv.Itoa(i) + ".example"
			if tt.is.CNAME != "" {
				host = tt.is.CNAME
			}
			b.dns.Set(host, tt.is)
			b.add(admin, host)
			d, checks, err := b.Verify(t.Context(), admin, host)
			if err != nil || d.State != store.DomainPending || len(checks) == 0 || checks[0].OK || checks[0].Problem == "" || !strings.Contains(checks[0].Problem, tt.problem) {
				t.Fatalf("Verify() = %+v, %+v, %v, want a pending domain because %q", d, checks, err, tt.problem)
			}
			last := checks[len(checks)-1]
			if tt.found != "" && !slices.ContainsFunc(last.Found, func(s string) bool { return strings.HasPrefix(s, tt.found) }) {
				t.Errorf("Verify() found %q, want %q", last.Found, tt.found)
			}
		})
	}
}

// TestRequestsOfVerification counts the requests to a host by the number of nodes.
func TestRequestsOfVerification(t *testing.T) {
	t.Parallel()
	for nodes, want := range map[int]int64{0: 8, 1: 8, 2: 8, 3: 12, 10: 40, 500: 128} {
		var requests atomic.Int64
		b := newBench(t, func(o *domains.ServiceOptions) { o.Nodes = func() int { return nodes } })
		serve(t, "127.0.0.2:"+strconv.Itoa(b.port), func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			answer, _ := b.Challenge(r.Host, strings.TrimPrefix(r.URL.Path, domains.ChallengePath))
			_, _ = io.WriteString(w, answer)
		})
		b.dns.Set("go.example", testenv.DNSName{Addrs: []string{"127.0.0.2"}})
		b.add(admin, "go.example")
		if d, checks, err := b.Verify(t.Context(), admin, "go.example"); err != nil || d.State != store.DomainActive || requests.Load() != want {
			t.Errorf("with %d nodes: %d requests, %+v, %v, want %d and an active domain", nodes, requests.Load(), checks, err, want)
		}
	}
}

// TestProofIsFirst checks that no request is sent to a host that its owner has not proved.
func TestProofIsFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var asked atomic.Int64
	serve(t, "127.0.0.2:"+strconv.Itoa(b.port), func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	d := b.add(ann, "victim.example")
	b.dns.Set("victim.example", testenv.DNSName{Addrs: []string{"127.0.0.2"}})
	for _, txt := range []testenv.DNSName{{}, {TXT: []string{"v=spf1"}}, {Fails: true}, {TXT: []string{b.Records(bob, &domains.Domain{Domain: store.Domain{Owner: "key_bob"}, Hosts: d.Hosts})[1].Value}}} {
		b.dns.Set("_terse.victim.example", txt)
		if d, checks, err := b.Verify(t.Context(), ann, "victim.example"); err != nil || d.State != store.DomainPending || len(checks) != 1 || checks[0].OK {
			t.Errorf("Verify() with %+v = %+v, %+v, %v, want a wrong TXT record alone", txt, d, checks, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests were sent to the host of a stranger", n)
	}
}

// TestClaims checks that a host has one domain, that another owner gets it only by the TXT record,
// also after a removal, and that this owner gets no link of the domain before.
func TestClaims(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.verified(ann, "go.example", "www.go.example")
	refused := func(who *links.Caller, a domains.Addition, own string) {
		t.Helper()
		_, err := b.Add(t.Context(), who, a)
		claimed, ok := errors.AsType[*domains.ClaimedError](err)
		if !ok || claimed.Own != own || own == "" && (claimed.TXT == nil || claimed.TXT.Name != "_terse."+claimed.Host) {
			t.Errorf("Add(%+v) by %s = %+v, want a ClaimedError with the TXT record", a, who.Owner(), err)
		}
	}
	refused(ann, domains.Addition{Host: "go.example"}, "go.example")
	refused(ann, domains.Addition{Host: "new.example", Aliases: []string{"www.go.example"}}, "go.example")
	refused(bob, domains.Addition{Host: "Go.Example."}, "")
	refused(bob, domains.Addition{Host: "new.example", Aliases: []string{"www.go.example"}}, "")
	refused(admin, domains.Addition{Host: "go.example"}, "")
	must(t, b.Remove(t.Context(), ann, "go.example", nil, false))
	if _, err := b.Get(t.Context(), ann, "go.example"); !errors.Is(err, domains.ErrRemoved) {
		t.Errorf("Get() of a removed domain = %v, want ErrRemoved", err)
	}
	refused(bob, domains.Addition{Host: "go.example"}, "")
	refused(bob, domains.Addition{Host: "www.go.example"}, "")
	if _, err := b.Get(t.Context(), bob, "go.example"); !errors.Is(err, domains.ErrUnknown) {
		t.Errorf("Get() by another owner = %v, want ErrUnknown", err)
	}

	again := b.add(ann, "go.example")
	if again.ID != first.ID || again.State != store.DomainPending || len(again.Hosts) != 2 || !again.Hosts[0].VerifiedAt.IsZero() {
		t.Errorf("Add() after the removal = %+v, want the same domain %s, pending, with both hosts", again, first.ID)
	}

	// Bob proves the primary host: Ann keeps the alias and the links, and Bob gets a new domain.
	var claimed *domains.ClaimedError
	_, err := b.Add(t.Context(), bob, domains.Addition{Host: "go.example"})
	if !errors.As(err, &claimed) {
		t.Fatalf("Add() = %v, want a ClaimedError", err)
	}
	b.dns.Set(claimed.TXT.Name, testenv.DNSName{TXT: []string{claimed.TXT.Value}})
	second := b.add(bob, "go.example")
	if second.ID == first.ID || second.Owner != "key_bob" || len(second.Hosts) != 1 {
		t.Errorf("Add() with the proof = %+v, want a new domain of bob", second)
	}
	left, err := b.Get(t.Context(), ann, "www.go.example")
	if err != nil || left.ID != first.ID || left.Host != "www.go.example" || len(left.Hosts) != 1 {
		t.Errorf("the domain of ann = %+v, %v, want it with the other host", left, err)
	}
	refused(ann, domains.Addition{Host: "go.example"}, "")
	if d, err := b.Add(t.Context(), admin, domains.Addition{Host: "www.go.example", Verified: true}); err != nil || d.State != store.DomainActive || d.ID == first.ID {
		t.Errorf("Add() of a host that an admin vouches for = %+v, %v, want a new active domain", d, err)
	}
	if d, known := b.known.Domain(first.ID); !known || d.State != store.DomainRemoved {
		t.Errorf("the domain without hosts = %+v, want it removed", d)
	}
}

// purged returns the domains whose answers a CDN has to purge, and acknowledges them.
func (b *bench) purged() (ids []string) {
	b.t.Helper()
	_, err := b.store.Deliver(b.t.Context(), store.CDN, 100, func(_ context.Context, edits []store.Edit) []error {
		for _, e := range edits {
			if !e.Repeat {
				ids = append(ids, e.Domain)
			}
		}
		return make([]error, len(edits))
	})
	must(b.t, err)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// TestPurges checks that a CDN purges a domain after every change of its answers, and the domain
// whose wildcard host has served a host until now.
func TestPurges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.dns.Default(testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	const taken = "taken.ann.example"
	wide := b.verified(ann, "go.ann.example", "*.ann.example", "go.ann2.example")
	b.purged()
	for name, edit := range map[string]domains.Edit{
		"root":      {Settings: domains.Settings{Root: domains.Redirect{URL: new("https://example.com/")}}},
		"not found": {Settings: domains.Settings{NotFound: domains.Redirect{URL: new("https://example.com/")}}},
		"ended":     {Settings: domains.Settings{Ended: domains.Redirect{URL: new("https://example.com/")}}},
		"robots":    {Settings: domains.Settings{Robots: new(store.RobotsDisallow)}},
		"app files": {Settings: domains.Settings{AppleAssociation: new(`{"applinks":{}}`), AssetLinks: new("[]")}},
		"off":       {Off: new(true)},
		"on":        {Off: new(false)},
		"host":      {Host: new("go.ann2.example"), Aliases: &[]string{"go.ann.example", "*.ann.example"}},
	} {
		if _, err := b.Update(t.Context(), ann, "go.ann.example", edit); err != nil {
			t.Fatalf("edit of %s = %v, want nil", name, err)
		}
		if got := b.purged(); !slices.Equal(got, []string{wide.ID}) {
			t.Errorf("edit of %s purges %q, want %q", name, got, wide.ID)
		}
	}
	free := b.add(ann, "free.ann.example")
	if got := b.purged(); got != nil {
		t.Errorf("a claim purges %q, want nothing: the wildcard host still applies", got)
	}
	_, err := b.Update(t.Context(), admin, free.Host, domains.Edit{Verified: true})
	must(t, err)
	if got := b.purged(); !slices.Contains(got, wide.ID) {
		t.Errorf("verification purges %q, want %q too", got, wide.ID)
	}
	_, err = b.Add(t.Context(), admin, domains.Addition{Host: taken, Verified: true})
	must(t, err)
	if got := b.purged(); !slices.Equal(got, []string{wide.ID}) {
		t.Errorf("a verified host purges %q, want %q", got, wide.ID)
	}
	d, err := b.Get(t.Context(), admin, taken)
	must(t, err)
	must(t, b.Remove(t.Context(), admin, taken, nil, false))
	if got := b.purged(); !slices.Equal(got, []string{d.ID}) {
		t.Errorf("Remove purges %q, want %q", got, d.ID)
	}
}

// TestClaimUnderAWildcard checks that a host under the verified wildcard host of another owner
// needs the proof of the DNS, and that the wildcard host applies until it is verified.
func TestClaimUnderAWildcard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.dns.Default(testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	hers := b.verified(ann, "ann.example", "*.links.example")
	serves := func(host, id string) {
		t.Helper()
		if d, known := b.known.Find(host); !known || d.ID != id || d.State != store.DomainActive {
			t.Errorf("Find(%q) = %+v, want the active domain %s", host, d, id)
		}
	}
	serves("go.links.example", hers.ID)
	refused := func(err error) {
		t.Helper()
		claimed, ok := errors.AsType[*domains.ClaimedError](err)
		if !ok || claimed.TXT == nil || claimed.TXT.Name != "_terse.go.links.example" {
			t.Errorf("claim without a proof = %v, want a ClaimedError with the TXT record", err)
		}
	}
	_, err := b.Add(t.Context(), bob, domains.Addition{Host: "go.links.example"})
	refused(err)
	other := b.add(bob, "bob.example")
	_, err = b.Update(t.Context(), bob, "bob.example", domains.Edit{Aliases: &[]string{"go.links.example"}})
	refused(err)

	// A claim that is older than the wildcard host, or that the owner of the wildcard host adds.
	registry := domains.NewRegistry(b.store, time.Now)
	_, err = registry.AddHost(t.Context(), other.ID, "old.links.example")
	must(t, err)
	own := b.add(ann, "own.links.example")
	serves("old.links.example", hers.ID)
	serves("own.links.example", hers.ID)
	b.prove(ann, &own)
	_, _, err = b.Verify(t.Context(), ann, own.Host)
	must(t, err)
	serves("own.links.example", own.ID)

	record := b.Records(bob, &domains.Domain{Domain: store.Domain{Host: "go.links.example", Owner: "key_bob"}})[1]
	b.dns.Set(record.Name, testenv.DNSName{TXT: []string{record.Value}})
	his := b.add(bob, "go.links.example")
	serves("GO.links.example:80", hers.ID)
	b.verified(bob, "second.example") // a later change
	serves("go.links.example", hers.ID)
	if _, checks, err := b.Verify(t.Context(), bob, his.Host); err != nil {
		t.Errorf("Verify() = %+v, %v", checks, err)
	}
	serves("go.links.example", his.ID)
	serves("any.links.example", hers.ID)
}

// TestOwnHostsAreVerified checks which hosts of other domains the redirects of a domain must not
// lead to.
func TestOwnHostsAreVerified(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.dns.Default(testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	b.verified(ann, "go.example", "*.go.example")
	_, err := b.Update(t.Context(), ann, "go.example", domains.Edit{Off: new(true), Aliases: &[]string{"*.go.example", "late.example"}})
	must(t, err)
	b.add(ann, "pending.example", "*.pending.example")
	b.verified(ann, "old.example")
	must(t, b.Remove(t.Context(), ann, "old.example", nil, false))
	b.add(bob, "bob.example")
	for host, refused := range map[string]bool{
		"go.example": true, "GO.example.:8080": true, "x.go.example": true,
		"late.example": false, "pending.example": false, "x.pending.example": false, "old.example": false,
	} {
		url := "https://" + host + "/"
		_, err := b.Update(t.Context(), bob, "bob.example", domains.Edit{Settings: domains.Settings{Root: domains.Redirect{URL: &url}}})
		if got := field(err) == "root_url"; got != refused || !refused && err != nil {
			t.Errorf("redirect to %s = %v, want refused: %v", url, err, refused)
		}
	}
}

// TestSlowProof checks that other domains are added while the DNS does not answer for the proof of
// one host.
func TestSlowProof(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.add(ann, "go.example")
	b.dns.Set("_terse.go.example", testenv.DNSName{Silent: true})
	before := b.dns.Queries()
	slow := make(chan error, 1)
	go func() {
		_, err := b.Add(context.Background(), bob, domains.Addition{Host: "go.example"})
		slow <- err
	}()
	testenv.Await(t, "the proof to be requested", func() bool { return b.dns.Queries() > before })
	b.add(ann, "other.example")
	if len(slow) != 0 {
		t.Error("an add waited for the proof of another one")
	}
	if _, ok := errors.AsType[*domains.ClaimedError](<-slow); !ok {
		t.Error("Add() without a proof returned no ClaimedError")
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.verified(ann, "go.example")
	edit := func(e domains.Edit) (domains.Domain, error) {
		t.Helper()
		return b.Update(t.Context(), ann, "go.example", e)
	}
	got, err := edit(domains.Edit{Aliases: &[]string{"new.example"}, Versions: []int64{d.Version}, Settings: domains.Settings{
		Shared: new(true), Root: domains.Redirect{URL: new("https://example.com"), Status: new(301)}, Ended: domains.Redirect{URL: new("https://example.com/ended")},
	}})
	if err != nil || got.Version != d.Version+1 || !got.Shared || got.Root != (store.DomainRedirect{URL: "https://example.com", Status: 301}) || got.Ended.Status != 302 || len(got.Hosts) != 2 || got.State != store.DomainActive {
		t.Fatalf("Update() = %+v, %v, want the changes", got, err)
	}
	if found, _ := b.known.Find("new.example"); found.State != store.DomainPending || found.ID != d.ID {
		t.Errorf("Find() of the unverified alias = %+v, want a pending domain", found)
	}
	if _, err := edit(domains.Edit{Versions: []int64{d.Version}}); !errors.Is(err, domains.ErrChanged) || !errors.Is(err, store.ErrVersion) {
		t.Errorf("Update() of an old version = %v, want ErrChanged", err)
	}
	if _, err := edit(domains.Edit{Host: new("new.example")}); field(err) != "host" {
		t.Errorf("Update() with an unverified primary host = %v, want an error of host", err)
	}
	b.prove(ann, &got)
	if _, checks, err := b.Verify(t.Context(), ann, "go.example"); err != nil || len(checks) != 3 {
		t.Errorf("Verify() = %+v, %v, want three checks of the new host alone", checks, err)
	}
	got, err = edit(domains.Edit{Host: new("New.example"), Settings: domains.Settings{Root: domains.Redirect{URL: new("")}}})
	if err != nil || got.Host != "new.example" || len(got.Hosts) != 2 || got.ID != d.ID || got.State != store.DomainActive || got.Root != (store.DomainRedirect{}) {
		t.Errorf("Update() with a new primary host = %+v, %v, want both hosts", got, err)
	}
	got, err = edit(domains.Edit{Aliases: &[]string{}, Off: new(true)})
	if err != nil || len(got.Hosts) != 1 || got.State != store.DomainOff || got.Host != "new.example" {
		t.Errorf("Update() without aliases = %+v, %v, want one host of a domain that is off", got, err)
	}
	if _, err := b.Add(t.Context(), bob, domains.Addition{Host: "go.example"}); err != nil {
		t.Errorf("Add() of a released host = %v, want nil", err)
	}
	if got, err = b.Update(t.Context(), ann, "new.example", domains.Edit{Off: new(false)}); err != nil || got.State != store.DomainActive {
		t.Errorf("Update() back on = %+v, %v, want active", got, err)
	}
	if got, err = b.Update(t.Context(), admin, "new.example", domains.Edit{Aliases: &[]string{"internal.corp"}, Verified: true}); err != nil || len(got.Hosts) != 2 || got.Hosts[0].VerifiedAt.IsZero() || got.Owner != "key_ann" || got.Hosts[0].Owner != "key_ann" {
		t.Errorf("Update() with verified = %+v, %v, want the verified alias", got, err)
	}
}

func TestRemoveWithLinks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.verified(ann, "go.example", "www.go.example")
	_, err := b.store.Create(t.Context(), store.Link{Code: store.LinkKey(d.ID, "spring"), URL: "https://example.com", Status: 302, Version: 1, CreatedAt: epoch, UpdatedAt: epoch})
	must(t, err)
	inUse := func(err error) bool { _, ok := errors.AsType[*domains.InUseError](err); return ok }
	if err := b.Remove(t.Context(), ann, "go.example", nil, false); !inUse(err) {
		t.Errorf("Remove() of a domain with a link = %v, want an InUseError", err)
	}
	if err := b.Remove(t.Context(), ann, "www.go.example", nil, true); field(err) != "host" {
		t.Errorf("Remove() by an alias = %v, want an error of host", err)
	}
	if err := b.Remove(t.Context(), ann, "go.example", []int64{d.Version + 7}, true); !errors.Is(err, domains.ErrChanged) {
		t.Errorf("Remove() of another version = %v, want ErrChanged", err)
	}
	must(t, b.Remove(t.Context(), ann, "go.example", []int64{d.Version}, true))
	if found, known := b.known.Find("go.example"); !known || found.State != store.DomainRemoved {
		t.Errorf("Find() of the removed domain = %+v, %v", found, known)
	}
}

// TestRemoveUnverified checks that a removed domain that was never verified leaves no claim, unless
// it has links.
func TestRemoveUnverified(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *domains.ServiceOptions) { o.PerOwner = 2 })
	for i := range 5 {
		d := b.add(ann, "go.example", "*.go.example", "a"+strconv.Itoa(i)+".example")
		must(t, b.Remove(t.Context(), ann, "go.example", []int64{d.Version}, i%2 == 0))
		if hosts, err := b.store.ListHosts(t.Context(), "", 10); err != nil || len(hosts) != 0 || len(b.known.All()) != 0 {
			t.Fatalf("after the removal there are the hosts %+v, %v, and %d domains in memory, want none", hosts, err, len(b.known.All()))
		}
		if _, err := b.Get(t.Context(), ann, "go.example"); !errors.Is(err, domains.ErrUnknown) {
			t.Errorf("Get() after the removal = %v, want ErrUnknown", err)
		}
	}
	d := b.add(bob, "go.example")
	_, err := b.store.Create(t.Context(), store.Link{Code: store.LinkKey(d.ID, "spring"), URL: "https://example.com", Status: 302, Version: 1, CreatedAt: epoch, UpdatedAt: epoch})
	must(t, err)
	must(t, b.Remove(t.Context(), bob, "go.example", nil, true))
	if again := b.add(bob, "go.example"); again.ID != d.ID {
		t.Errorf("Add() after the removal = %q, want the domain %q with its links", again.ID, d.ID)
	}
}

func TestWhoMay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.add(ann, "ann.example")
	b.add(bob, "bob.example")
	calls := map[string]func(who *links.Caller, host string) error{
		"get": func(who *links.Caller, host string) error { _, err := b.Get(t.Context(), who, host); return err },
		"update": func(who *links.Caller, host string) error {
			_, err := b.Update(t.Context(), who, host, domains.Edit{})
			return err
		},
		"verify": func(who *links.Caller, host string) error { _, _, err := b.Verify(t.Context(), who, host); return err },
		"remove": func(who *links.Caller, host string) error { return b.Remove(t.Context(), who, host, []int64{99}, true) },
		"add": func(who *links.Caller, _ string) error {
			_, err := b.Add(t.Context(), who, domains.Addition{Host: newHost()})
			return err
		},
		"list": func(who *links.Caller, _ string) error { _, _, err := b.List(who, "", 10); return err },
	}
	lacks := func(err error) bool { _, ok := errors.AsType[*links.ScopeError](err); return ok }
	for name, call := range calls {
		if err := call(&links.Caller{}, "ann.example"); !errors.Is(err, links.ErrNoKey) {
			t.Errorf("%s without a key = %v, want ErrNoKey", name, err)
		}
		if err := call(caller("key_links", store.ScopeLinksRead, store.ScopeLinksWrite), "ann.example"); !lacks(err) {
			t.Errorf("%s without the scope = %v, want a ScopeError", name, err)
		}
		err := call(bob, "ann.example")
		if name != "add" && name != "list" && !errors.Is(err, domains.ErrUnknown) {
			t.Errorf("%s of another owner's domain = %v, want ErrUnknown", name, err)
		}
	}
	_, err := b.Update(t.Context(), ann, "ann.example", domains.Edit{Settings: domains.Settings{Shared: new(true)}})
	must(t, err)
	for name, call := range calls {
		if err := call(bob, "ann.example"); (name == "update" || name == "verify" || name == "remove") != lacks(err) {
			t.Errorf("%s of a shared domain = %v", name, err)
		}
	}
	hosts := func(who *links.Caller) (all []string) {
		for after := ""; ; {
			page, next, err := b.List(who, after, 1)
			must(t, err)
			for i := range page {
				if strings.HasPrefix(page[i].Host, "ann.") || strings.HasPrefix(page[i].Host, "bob.") {
					all = append(all, page[i].Host)
				}
			}
			if after = next; next == "" {
				return all
			}
		}
	}
	if a, o, all := hosts(ann), hosts(bob), hosts(admin); len(a) != 1 || len(o) != 2 || len(all) != 2 {
		t.Errorf("List() = %v for ann, %v for bob, %v for the admin", a, o, all)
	}
}

// TestLimitOfAnOwnerOverNodes adds domains by two processes at the same time. Both may be rejected for
// the last place, but the owner never has more domains than allowed.
func TestLimitOfAnOwnerOverNodes(t *testing.T) {
	t.Parallel()
	few := func(o *domains.ServiceOptions) { o.PerOwner = 2 }
	b := newBench(t, few)
	first := b.Service // which answers challenges
	b.open(few)
	nodes := []*domains.Service{first, b.Service}
	b.Service = first
	for round := range testenv.Rounds(20) {
		removed := newHost()
		b.verified(ann, removed)
		must(t, b.Remove(t.Context(), ann, removed, nil, true))
		b.add(ann, newHost())
		hosts := []string{removed, newHost()} // one is restored, the other one is new
		var adding sync.WaitGroup
		for i, node := range nodes {
			adding.Go(func() {
				if _, err := node.Add(t.Context(), ann, domains.Addition{Host: hosts[i]}); err != nil && field(err) != "host" {
					t.Errorf("Add() = %v, want nil or an error of host", err)
				}
			})
		}
		adding.Wait()
		all, err := b.store.ListDomains(t.Context(), "", 1000)
		must(t, err)
		all = slices.DeleteFunc(all, func(d store.Domain) bool { return d.State == store.DomainRemoved })
		if len(all) > 2 {
			t.Fatalf("round %d: the owner has %d domains, want at most 2", round, len(all))
		}
		for _, d := range all {
			must(t, b.Remove(t.Context(), ann, d.Host, nil, true))
		}
	}
}

// TestLimitOfAnOwner adds domains at the same time.
func TestLimitOfAnOwner(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *domains.ServiceOptions) { o.PerOwner = 3 })
	errs := make(chan error)
	for range 12 {
		go func() {
			_, err := b.Add(t.Context(), ann, domains.Addition{Host: newHost()})
			errs <- err
		}()
	}
	added := 0
	for range 12 {
		if err := <-errs; err == nil {
			added++
		} else if field(err) != "host" {
			t.Errorf("Add() above the limit = %v, want an error of host", err)
		}
	}
	if added != 3 {
		t.Errorf("%d domains were added, want 3", added)
	}
	for range 4 {
		b.add(admin, newHost())
	}
}

func TestServiceOptions(t *testing.T) {
	t.Parallel()
	_, err := domains.NewService(domains.ServiceOptions{Port: -1, PerOwner: -1, Retry: -1})
	for _, want := range []string{"Store", "Map", "Links", "Keys", "Minter", "Rules", "Secret", "BaseHost", "Registerer", "Logger", "PerOwner", "Port", "Retry"} {
		if err == nil || !strings.Contains(err.Error(), "."+want+" ") {
			t.Errorf("NewService() = %v, want an error that names %s", err, want)
		}
	}
}
