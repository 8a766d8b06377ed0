//go:build unix

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/deploy"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/audit"
	"github.com/terse/terse/store"
)

const (
	// firstOfDomains is the first file of the version with domains.
	firstOfDomains = "migrations/postgres/0016_domains.up.sql"

	customHost = "go.example.com"

	// takenUp is the number of redirects after which a node counts as used.
	takenUp = 200

	// The targets of /spring.
	defaultTarget = "https://example.com/default"
	customTarget  = "https://example.com/custom"
	editedTarget  = "https://example.com/custom/edited"
)

// release is a version of the product, as it is installed on a machine.
type release struct {
	binary, version string
	environ         []string // settings that the other version does not have
}

// releases returns the version before domains, and the tested version.
func releases(t *testing.T, environ ...string) (older, newer release) {
	t.Helper()
	return release{testenv.BuildBefore(t, firstOfDomains), testenv.OlderVersion, nil}, release{testenv.BuildTerse(t), "dev", environ}
}

// install replaces the program that a node runs after its next start.
func (r release) install(t *testing.T, path string) {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\nexec env %s '%s' \"$@\"\n", strings.Join(r.environ, " "), r.binary)
	must(t, os.WriteFile(path+".new", []byte(script), 0o755))
	must(t, os.Rename(path+".new", path))
}

// awaitRunning waits until a node runs the release.
func (r release) awaitRunning(p *program) {
	p.t.Helper()
	testenv.Await(p.t, "the version "+r.version, func() bool { return p.metric("terse_build_info", `version="`+r.version+`"`) == 1 })
}

// wantNoCustom checks that no path on a node of the older version leads to a link of a custom domain.
// The node knows no domains, so it answers for every host.
func (b byHost) wantNoCustom(node *program, id string) {
	b.t.Helper()
	for _, path := range []string{"/spring", "/" + id, "/" + id + "/spring", "/" + id + "%2Fspring", "/" + id + "%2fspring+", "/" + id + "%252Fspring", "/" + id + "//spring"} {
		for _, host := range []string{"localhost", customHost} {
			status, location, body := b.send(node, host, http.MethodGet, path, "")
			if strings.HasPrefix(location, customTarget) || strings.Contains(body, customTarget) || status >= http.StatusInternalServerError {
				b.t.Errorf("the older version answers %d %q %q to %s on %s, want nothing of the other domain", status, location, body, path, host)
			}
		}
	}
}

// upgrade is two nodes of a fleet behind nginx, under load.
type upgrade struct {
	*fleet

	a         *auditor
	installed []string // what the nodes run
	load      *audit.Load[audit.Balancer]
}

// newUpgrade starts nodes of a release.
func newUpgrade(t *testing.T, from release) *upgrade {
	t.Helper()
	u := &upgrade{fleet: newFleetOf(t, from.binary, 2, testenv.ClusterOptions{})}
	port, err := testenv.FreePort(t.Context())
	must(t, err)
	u.environ = append(u.environ, "TERSE_REDIS_URL="+testenv.NewRedis(t, testenv.RedisOptions{}).URL(),
		fmt.Sprintf("TERSE_BASE_URL=http://127.0.0.1:%d", port), "TERSE_TRUSTED_PROXIES=127.0.0.1/32",
		"TERSE_DRAIN_DELAY=3200ms") // longer than nginx keeps idle connections
	dir := installFolder(t)
	for i := range 2 {
		u.installed = append(u.installed, filepath.Join(dir, fmt.Sprintf("node%d", i)))
		from.install(t, u.installed[i])
		u.nodes = append(u.nodes, startBy(t, testenv.TerseOptions{Binary: u.installed[i], Environment: u.environOfNode()}))
	}
	u.a = newAuditor(u.fleet, u.newKey(0))
	u.a.keep(heardWithin)
	known, edited := u.a.seed(50), u.a.seed(25, u.a.authorization()...)
	u.load = audit.NewLoad(t.Context(), u.a.Auditor, []audit.Balancer{u.balancer(port)})
	u.load.Repeatable = true
	u.load.Hot(slices.Concat(known...))
	u.load.Creates(nil)
	u.load.Creates(store.NewKeyID)
	u.load.Edits(slices.Concat(edited...))
	return u
}

// balancer starts nginx in front of the nodes.
func (u *upgrade) balancer(port int) audit.Balancer {
	u.t.Helper()
	const shipped = "    server 127.0.0.1:8080 max_fails=2 fail_timeout=2s;"
	var servers []string
	for _, node := range u.nodes {
		servers = append(servers, strings.Replace(shipped, "127.0.0.1:8080", node.Addr(), 1))
	}
	config, err := deploy.Edited("nginx/terse.conf", map[string]string{shipped: strings.Join(servers, "\n"), "listen 80;": "listen LISTEN;"})
	must(u.t, err)
	nginx, err := testenv.StartNginx(u.t.Context(), testenv.NginxOptions{Config: config, Port: port})
	must(u.t, err)
	u.t.Cleanup(func() { must(u.t, nginx.Close()) })
	return audit.Balancer(nginx.URL())
}

// roll replaces the release of a node, as the runbook says. No request may fail.
func (u *upgrade) roll(i int, to release) {
	u.t.Helper()
	to.install(u.t, u.installed[i])
	must(u.t, u.nodes[i].Stop())
	u.nodes[i].again()
	to.awaitRunning(u.nodes[i])
	for _, node := range u.nodes {
		began := redirects(node)
		testenv.Await(u.t, "redirects of both nodes", func() bool { return redirects(node) >= began+takenUp })
	}
	if failed := u.a.Failures(5); len(failed) > 0 {
		u.t.Fatalf("requests failed while node %d got the version %s: %q", i, to.version, failed)
	}
}

func redirects(node *program) float64 {
	return node.metric("terse_http_requests_total", `route="/:code"`)
}

// end stops the load, and compares clicks, databases and nodes with the answers.
func (u *upgrade) end() {
	u.t.Helper()
	u.load.Stop()
	if failed := u.a.Failures(5); len(failed) > 0 {
		u.t.Errorf("requests failed: %q", failed)
	}
	visits := answeredVisits(u.a.Auditor)
	var clicks int
	testenv.Await(u.t, fmt.Sprintf("%d clicks", visits), func() bool {
		clicks = 0
		for i := range u.shards {
			clicks += query(u.fleet, i, pgx.RowTo[int], `SELECT coalesce(sum(total), 0)::bigint FROM click_totals WHERE code !~ '(^|/)spring$'`)[0]
		}
		return clicks >= visits
	})
	if clicks > visits {
		u.t.Errorf("%d clicks are counted, want %d", clicks, visits)
	}
	for i := range u.shards { // the auditor did not create these
		u.transact(i, func(tx pgx.Tx) error {
			_, err := tx.Exec(u.t.Context(), `DELETE FROM links WHERE code ~ '(^|/)spring$'`)
			return err
		})
	}
	u.a.audit()
}

// answeredVisits returns the number of redirects that an auditor has got.
func answeredVisits(a *audit.Auditor) int {
	counts := a.Counts()
	return counts["hot"].Done + counts["fresh"].Done + counts["edited"].Done
}

// customDomain is a domain as the API shows it.
type customDomain struct{ ID, State string }

// domain returns the domain with the host customHost.
func (b byHost) domain(node *program) (d customDomain) {
	b.t.Helper()
	status, _, body := b.send(node, "", http.MethodGet, "/api/v1/domains/"+customHost, "")
	if err := json.Unmarshal([]byte(body), &d); err != nil || status != http.StatusOK {
		b.t.Fatalf("domain = %d %s", status, body)
	}
	return d
}

// want sends a request to the default domain, and checks the status of the answer.
func (b byHost) want(node *program, method, path, body string, want int) (answer string) {
	b.t.Helper()
	status, _, answer := b.send(node, "", method, path, body)
	if status != want {
		b.t.Fatalf("%s %s = %d %s, want %d", method, path, status, answer, want)
	}
	return answer
}

// createSpring creates the link spring on both domains.
func (b byHost) createSpring(onDefault, onCustom *program) {
	b.t.Helper()
	b.want(onDefault, http.MethodPost, "/api/v1/links", `{"url":"`+defaultTarget+`","alias":"spring"}`, http.StatusCreated)
	testenv.Await(b.t, "the domain to accept links", func() bool {
		status, _, _ := b.send(onCustom, "", http.MethodPost, "/api/v1/links", `{"url":"`+customTarget+`","alias":"spring","domain":"`+customHost+`"}`)
		return status == http.StatusCreated
	})
}

// TestUpgradeFromBeforeDomains upgrades a cluster from the version before domains, and goes back, under
// load. No request fails and nothing is lost. A domain becomes active after the last node of the
// older version has ended, not before. No node of the older version serves a link of the domain.
func TestUpgradeFromBeforeDomains(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	dns := testenv.NewDNS(t)
	dns.Set(customHost, testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	older, newer := releases(t, "TERSE_DNS_SERVER="+dns.Addr(), "TERSE_DOMAINS_NETWORKS=127.0.0.0/8")
	u := newUpgrade(t, older)
	first, second := u.nodes[0], u.nodes[1]

	u.binary = newer.binary
	u.run("migrate", "up")
	admin := byHost{t, strings.TrimSpace(u.run("key", "create", "--name", "domains", "--scope", "admin"))}
	u.roll(0, newer)
	admin.want(first, http.MethodPost, "/api/v1/domains", `{"host":"`+customHost+`"}`, http.StatusCreated)
	for range 3 {
		answer := admin.want(first, http.MethodPost, "/api/v1/domains/"+customHost+"/verify", "", http.StatusOK)
		if !strings.Contains(answer, "a node with an older version") {
			t.Errorf("verification beside a node of the older version = %s", answer)
		}
	}
	if d := admin.domain(first); d.State != "pending" {
		t.Errorf("beside a node of the older version, the domain is %s, want pending", d.State)
	}
	u.roll(1, newer)
	testenv.Await(t, "the domain to become active", func() bool { return admin.domain(second).State == "active" })
	admin.createSpring(second, first)
	for _, node := range u.nodes {
		testenv.Await(t, "the link on the domain", func() bool { return admin.visit(node, customHost) == customTarget })
	}

	id := admin.domain(first).ID
	u.roll(0, older)
	admin.wantNoCustom(first, id)
	admin.want(second, http.MethodPatch, "/api/v1/links/spring?domain="+customHost, `{"url":"`+editedTarget+`"}`, http.StatusOK)
	if got := admin.visit(second, customHost); got != editedTarget {
		t.Errorf("visit on the domain after an edit leads to %s, want %s", got, editedTarget)
	}
	u.roll(1, older)
	for _, node := range u.nodes {
		admin.wantNoCustom(node, id)
		if got := admin.visit(node, ""); got != defaultTarget {
			t.Errorf("visit on the default domain leads to %s, want %s", got, defaultTarget)
		}
	}

	u.roll(0, newer)
	if got := admin.visit(first, customHost); got != editedTarget {
		t.Errorf("visit on the domain after the second upgrade leads to %s, want %s", got, editedTarget)
	}
	u.end()
}

// TestServerUpgradeFromBeforeDomains upgrades a server on the embedded database from the version before
// domains, and goes back, under load. The sockets stay open, as with systemd. No request fails and nothing
// is lost.
func TestServerUpgradeFromBeforeDomains(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	older, newer := releases(t)
	installed := installFolder(t) + "/terse"
	older.install(t, installed)
	node := startBy(t, testenv.TerseOptions{Binary: installed, Sockets: sockets(t), Environment: []string{"TERSE_LIMIT_CREATE_KEY=off"}})
	_, token, _ := strings.Cut(node.newKey("admin")[1], "=")
	l := newServerLoad(t, node, token)
	restart := func(to release, stopped func()) {
		t.Helper()
		must(t, node.Stop())
		stopped()
		to.install(t, installed)
		node.again()
		to.awaitRunning(node)
		began := redirects(node)
		testenv.Await(t, "redirects of version "+to.version, func() bool { return redirects(node) >= began+takenUp })
	}

	restart(newer, func() {})
	admin := byHost{t, token}
	admin.want(node, http.MethodPost, "/api/v1/domains", `{"host":"`+customHost+`","verified":true}`, http.StatusCreated)
	admin.createSpring(node, node)
	if got := admin.visit(node, customHost); got != customTarget {
		t.Errorf("visit on the domain leads to %s, want %s", got, customTarget)
	}
	id := admin.domain(node).ID

	restart(older, func() {
		for status := ""; !strings.Contains(status, fmt.Sprintf("version %d,", versionBeforeDomains)); {
			got := runCommand(t, node.Command(t.Context(), "migrate", "down", "--yes"))
			if status = got.stdout; got.status != 0 {
				t.Fatalf("migrate down = %+v", got)
			}
		}
	})
	admin.wantNoCustom(node, id)
	if got := admin.visit(node, ""); got != defaultTarget {
		t.Errorf("visit on the default domain leads to %s, want %s", got, defaultTarget)
	}
	restart(newer, func() {})
	l.end()
}

// versionBeforeDomains is the schema of the version before domains.
const versionBeforeDomains = 15

// installFolder returns a folder in which nodes can run programs.
func installFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{filepath.Dir(dir), dir} { // nodes run as another user
		must(t, os.Chmod(path, 0o755))
	}
	return dir
}

// sockets returns a public and an admin listener that stay open until the test ends.
func sockets(t *testing.T) (all []*os.File) {
	t.Helper()
	for range 2 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, err)
		file, err := l.File()
		must(t, err)
		must(t, l.Close())
		t.Cleanup(func() { _ = file.Close() })
		all = append(all, file)
	}
	return all
}

// serverLoad is the load of a server with the embedded database.
type serverLoad struct {
	*audit.Load[*program]

	t     *testing.T
	a     *audit.Auditor
	node  *program
	token string

	mu      sync.Mutex
	created []string
}

func newServerLoad(t *testing.T, node *program, token string) *serverLoad {
	t.Helper()
	a, err := audit.New(audit.Options{ShardOf: func(string) int { return audit.AnyShard }, DSNs: []string{"none"}, Token: token, SeenWithin: seenWithin})
	must(t, err)
	t.Cleanup(a.Close)
	l := &serverLoad{Load: audit.NewLoad(t.Context(), a, []*program{node}), t: t, a: a, node: node, token: token}
	l.Repeatable = true
	for range 50 {
		l.create()
	}
	known, edited := l.created[:25], l.created[25:50]
	l.Hot(known)
	l.Edits(edited)
	l.Every(10*time.Millisecond, func(int, *program) { l.create() })
	return l
}

// create creates a link and visits it.
func (l *serverLoad) create() {
	ctx := l.t.Context()
	if code := l.a.Create(ctx, l.node, "", append(l.a.Authorization(), "Idempotency-Key", store.NewKeyID())...); code != "" {
		l.a.Visit(ctx, "fresh", l.node, code)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.created = append(l.created, code)
	}
}

// end stops the load, and compares the links and their clicks with the answers.
func (l *serverLoad) end() {
	l.t.Helper()
	l.Stop()
	visits := answeredVisits(l.a)
	var clicks int
	testenv.Await(l.t, fmt.Sprintf("%d clicks", visits), func() bool {
		clicks = l.clicks()
		return clicks >= visits
	})
	if clicks > visits {
		l.t.Errorf("%d clicks are counted, want %d", clicks, visits)
	}
	for _, code := range l.created {
		l.a.Read(l.t.Context(), l.node, code)
		l.a.Visit(l.t.Context(), "last", l.node, code)
	}
	failed, broken := l.a.Failures(5), l.a.Promises()
	l.t.Logf("%d links and %d visits", len(l.created), visits)
	if len(failed) > 0 || len(broken) > 0 {
		l.t.Errorf("requests failed: %q, wrong answers: %q", failed, broken[:min(len(broken), mostFaults)])
	}
}

// clicks returns the clicks of all links except spring.
func (l *serverLoad) clicks() (sum int) {
	l.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Links []struct {
				Code   string
				Clicks int
			}
			NextCursor string `json:"next_cursor"`
		}
		answer := byHost{l.t, l.token}.want(l.node, http.MethodGet, "/api/v1/links?limit=1000&cursor="+url.QueryEscape(cursor), "", http.StatusOK)
		must(l.t, json.Unmarshal([]byte(answer), &page))
		for _, link := range page.Links {
			if link.Code != "spring" {
				sum += link.Clicks
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return sum
		}
	}
}
