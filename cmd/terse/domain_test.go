package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// startWithDNS starts a server whose verification uses a DNS server of the test, and finds hosts
// at the loopback address.
func startWithDNS(t *testing.T, scopes string) (p *node, environ []string, dns *testenv.DNS) {
	t.Helper()
	dns = testenv.NewDNS(t)
	p, environ = startWithKey(t, scopes, "TERSE_DNS_SERVER="+dns.Addr(), "TERSE_DOMAINS_NETWORKS=127.0.0.0/8")
	return p, environ, dns
}

// TestDomainFromNothing adds a domain with the records that the command prints, and uses it.
func TestDomainFromNothing(t *testing.T) {
	t.Parallel()
	p, environ, dns := startWithDNS(t, "domains:read,domains:write,"+owns)
	base, err := url.Parse(p.url)
	must(t, err)
	visit := func(host string) int {
		status, _ := ask(t, client(t), http.MethodGet, "http://127.0.0.1:"+base.Port()+"/unknown", "", "", "Host", host)
		return status
	}
	added := terse(t, environ, "domain", "add", "go.example.com", "--root-url", "https://example.com")
	if added.status != 0 || !strings.Contains(added.stderr, "Added go.example.com.") {
		t.Fatalf("domain add = %+v, want 0", added)
	}
	proof := regexp.MustCompile(`(?m)^TXT +_terse\.go\.example\.com +([0-9a-f]{32})$`).FindStringSubmatch(added.stdout)
	if proof == nil || !regexp.MustCompile(`(?m)^CNAME +go\.example\.com +localhost$`).MatchString(added.stdout) {
		t.Fatalf("domain add printed %q, want a CNAME and a TXT record", added.stdout)
	}
	if got := terse(t, environ, "domain", "list").ok(t); !strings.Contains(got, "go.example.com  pending") {
		t.Errorf("domain list = %s, want the pending domain", got)
	}
	failed := terse(t, environ, "domain", "verify", "go.example.com")
	if failed.status != 1 || !strings.Contains(failed.stdout, "TXT _terse.go.example.com  failed: there is no such record") || !strings.Contains(failed.stderr, "The domain is pending") {
		t.Errorf("domain verify without records = %+v, want 1 and the reason", failed)
	}

	dns.Set("_terse.go.example.com", testenv.DNSName{TXT: []string{proof[1]}})
	dns.Set("go.example.com", testenv.DNSName{CNAME: "localhost"})
	dns.Set("localhost", testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	if got := terse(t, environ, "domain", "verify", "go.example.com").ok(t); strings.Count(got, "  ok\n") != 3 {
		t.Errorf("domain verify = %s, want three successful checks", got)
	}
	if got := terse(t, environ, "domain", "show", "GO.example.com").ok(t); !strings.Contains(got, "state     active") || !strings.Contains(got, "root      https://example.com (302)") {
		t.Errorf("domain show = %s, want it active", got)
	}
	if status := visit("go.example.com"); status != http.StatusNotFound {
		t.Errorf("visit of an unknown code of the domain = %d, want 404", status)
	}

	// A second host, which becomes the primary one when it is verified.
	terse(t, environ, "domain", "edit", "go.example.com", "--alias", "new.example.com").ok(t)
	if got := terse(t, environ, "domain", "edit", "go.example.com", "--primary", "new.example.com"); got.status != 1 || !strings.Contains(got.stderr, "must be verified first") {
		t.Errorf("domain edit --primary of an unverified host = %+v, want 1", got)
	}
	shown := terse(t, environ, "domain", "show", "go.example.com").ok(t)
	proof = regexp.MustCompile(`(?m)^TXT +_terse\.new\.example\.com +([0-9a-f]{32})$`).FindStringSubmatch(shown)
	if proof == nil {
		t.Fatalf("domain show = %s, want the record of the alias", shown)
	}
	dns.Set("_terse.new.example.com", testenv.DNSName{TXT: []string{proof[1]}})
	dns.Set("new.example.com", testenv.DNSName{CNAME: "localhost"})
	terse(t, environ, "domain", "verify", "new.example.com").ok(t)
	if got := terse(t, environ, "domain", "edit", "go.example.com", "--primary", "new.example.com").ok(t); !strings.Contains(got, "host      new.example.com\n") || visit("go.example.com") != http.StatusNotFound {
		t.Errorf("domain edit --primary = %s, want both hosts", got)
	}
	if got := terse(t, environ, "domain", "remove", "go.example.com"); got.status != 1 || !strings.Contains(got.stderr, "alias of new.example.com") {
		t.Errorf("domain remove by an alias = %+v, want 1", got)
	}
	if got := terse(t, environ, "domain", "remove", "new.example.com"); got.status != 0 || visit("go.example.com") != http.StatusMisdirectedRequest {
		t.Errorf("domain remove = %+v, want 0, and 421 for its hosts", got)
	}
	if got := terse(t, environ, "domain", "edit", "go.example.com"); got.status != 2 {
		t.Errorf("domain edit without a change = %+v, want 2", got)
	}
}

// TestFilesForApps sets the files of a domain, and removes them.
func TestFilesForApps(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, "admin")
	base, err := url.Parse(p.url)
	must(t, err)
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	apple, android := file("apple.json", "{\"applinks\": {}}\n"), file("assetlinks.json", "[]")
	c := client(t)
	serves := func(name, text string) { // an empty text is no file
		t.Helper()
		testenv.Await(t, "the answer for "+name, func() bool {
			status, header := ask(t, c, http.MethodGet, "http://127.0.0.1:"+base.Port()+"/.well-known/"+name, "", "", "Host", "go.example.com")
			return text == "" && status == http.StatusNotFound || status == http.StatusOK && header.Get("Content-Length") == strconv.Itoa(len(text))
		})
	}
	terse(t, environ, "domain", "add", "go.example.com", "--verified", "--apple-app-site-association", apple).ok(t)
	serves("apple-app-site-association", "{\"applinks\": {}}\n")
	edited := terse(t, environ, "domain", "edit", "go.example.com", "--apple-app-site-association", "", "--assetlinks", android).ok(t)
	if !strings.Contains(edited, "assetlinks.json  2 bytes, see --json") || strings.Contains(edited, "apple-app-site-association") {
		t.Errorf("domain edit = %s, want only assetlinks.json", edited)
	}
	serves("apple-app-site-association", "")
	serves("assetlinks.json", "[]")
	if got := terse(t, environ, "domain", "list", "--json").ok(t); !strings.Contains(got, `"assetlinks":"[]"`) || !strings.Contains(got, `"apple_app_site_association":null`) {
		t.Errorf("domain list --json = %s, want the files", got)
	}
	if got := terseReading(t, "[ ]", environ, "domain", "edit", "go.example.com", "--assetlinks", "-", "--json").ok(t); !strings.Contains(got, `"assetlinks":"[ ]"`) {
		t.Errorf("domain edit of standard input = %s, want its text", got)
	}
	for path, want := range map[string]string{
		file("a", ""): "--assetlinks: the file is empty", "missing": "--assetlinks: open missing", t.TempDir(): "--assetlinks: read",
		file("a", strings.Repeat(" ", 16<<10+1)): "--assetlinks: must be at most 16384 bytes long", file("a", "[{]"): "assetlinks: must be JSON. Byte 3 is wrong",
	} {
		if got := terse(t, environ, "domain", "edit", "go.example.com", "--assetlinks", path); got.status == 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("domain edit --assetlinks of a wrong file = %+v, want %q", got, want)
		}
	}
	serves("assetlinks.json", "[ ]")
}

// TestDomainBecomesActiveByItself adds a domain whose records are there, and waits.
func TestDomainBecomesActiveByItself(t *testing.T) {
	t.Parallel()
	testenv.Long(t)
	_, environ, dns := startWithDNS(t, "admin")
	dns.Set("go.example.com", testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	terse(t, environ, "domain", "add", "go.example.com").ok(t)
	testenv.Await(t, "the domain to be active", func() bool {
		return strings.Contains(terse(t, environ, "domain", "list").ok(t), "go.example.com  active")
	})
	added := terse(t, environ, "domain", "add", "internal.corp", "--verified", "--alias", "*.internal.corp")
	if added.status != 0 || !strings.Contains(added.stderr, "It is active") {
		t.Errorf("domain add --verified = %+v, want it active", added)
	}
}
