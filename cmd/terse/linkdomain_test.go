//go:build unix

package main

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// startOnDomains starts a server with two domains that all owners share.
func startOnDomains(t *testing.T) (environ []string) {
	t.Helper()
	dir := t.TempDir()
	d, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	registry := domains.NewRegistry(d, time.Now)
	for id, host := range map[string]string{"jT0xYqRm4": "go.example.com", "k7Qx9mB2a": "s.test.example"} {
		_, err := registry.Add(t.Context(), store.Domain{ID: id, Host: host, State: store.DomainActive, Shared: true})
		must(t, err)
	}
	must(t, d.Close())
	p := start(t, dir)
	testenv.Await(t, "the server to answer", func() bool {
		response, err := client(t).Get(p.url + "/unknown")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusNotFound
	})
	return p.newKey(owns, "TERSE_DATA_DIR="+dir)
}

// TestLinkCommandsOnDomains follows links of one code on two domains through the commands.
func TestLinkCommandsOnDomains(t *testing.T) {
	t.Parallel()
	environ := startOnDomains(t)
	terse(t, environ, "shorten", "example.com/0", "--alias", "spring").ok(t)
	short := strings.TrimSpace(terse(t, environ, "shorten", "example.com/1", "--alias", "spring", "--domain", "go.example.com").ok(t))
	if !strings.Contains(short, "://go.example.com") || !strings.HasSuffix(short, "/spring") {
		t.Fatalf("shorten printed %q, want a short URL on the domain", short)
	}
	for _, args := range [][]string{{short}, {"go.example.com/spring+"}, {"spring", "--domain", "GO.example.com"}} {
		if got := terse(t, environ, append([]string{"links", "show", "--json"}, args...)...).ok(t); !strings.Contains(got, `"url":"https://example.com/1"`) || !strings.Contains(got, `"domain":"go.example.com"`) {
			t.Errorf("links show %v = %s, want the link on the domain", args, got)
		}
	}
	terse(t, environ, "links", "edit", short, "--url", "example.com/2").ok(t)
	if got := terse(t, environ, "links", "show", "spring").ok(t); !strings.Contains(got, "https://example.com/0") {
		t.Errorf("links show spring = %s, want the link on the default domain unchanged", got)
	}
	if got := terse(t, environ, "links", "history", "go.example.com/spring").ok(t); !strings.Contains(got, "https://example.com/2") {
		t.Errorf("links history = %s, want the edit", got)
	}
	if got := terse(t, environ, "links", "list", "--domain", "go.example.com").ok(t); strings.Count(got, "\n") != 2 || !strings.Contains(got, short) {
		t.Errorf("links list --domain = %s, want one link", got)
	}
	for _, args := range [][]string{{"https://unknown.example/spring"}, {"spring", "--domain", "unknown.example"}} {
		if got := terse(t, environ, append([]string{"links", "show"}, args...)...); got.status != 1 || !strings.Contains(got.stderr, "domain") {
			t.Errorf("links show %v = %+v, want an error that names the domain", args, got)
		}
	}
	if got := terse(t, environ, "links", "show", "a.example/b/c"); got.status != 2 {
		t.Errorf("links show of a URL without a code = %+v, want 2", got)
	}
	if got := terse(t, environ, "links", "delete", short); got.status != 0 || !strings.Contains(got.stderr, "://go.example.com/spring") {
		t.Errorf("links delete = %+v, want the short URL on the domain", got)
	}
	terse(t, environ, "links", "show", "spring").ok(t)
}

// TestTransferOnDomains exports links of three domains and imports files with several domains.
func TestTransferOnDomains(t *testing.T) {
	t.Parallel()
	from, to := startOnDomains(t), startOnDomains(t)
	for _, host := range []string{"localhost", "go.example.com", "s.test.example"} {
		terse(t, from, "shorten", "example.com/"+host, "--alias", "spring", "--domain", host).ok(t)
	}
	dir := t.TempDir()
	for _, name := range []string{"links.csv", "links.ndjson"} {
		file := filepath.Join(dir, name)
		terse(t, from, "links", "export", "-o", file).ok(t)
		terse(t, to, "links", "import", "--upsert", file).ok(t)
		for _, host := range []string{"localhost", "go.example.com", "s.test.example"} {
			if got := terse(t, to, "links", "show", "spring", "--domain", host).ok(t); !strings.Contains(got, "https://example.com/"+host+"\n") {
				t.Errorf("link of %s on %s = %s, want its own target", name, host, got)
			}
		}
	}
	const shlink = "createdAt,domain,shortCode,shortUrl,longUrl,title,tags,visits\n" +
		",,one,,https://example.com/1,,,\n,go.example.com,one,,https://example.com/2,,,\n,other.example,one,,https://example.com/3,,,\n"
	if got := importOf(t, to, shlink, "--from", "shlink"); got.status != 1 || !strings.Contains(got.stderr, "Imported 2 links, rejected 1 rows") ||
		!strings.Contains(got.stderr, "line 4: domain: ") || !strings.Contains(got.stderr, "--domain") {
		t.Errorf("import of Shlink = %+v, want the row of the unknown domain rejected", got)
	}
	if got := terse(t, to, "links", "show", "go.example.com/one").ok(t); !strings.Contains(got, "https://example.com/2\n") {
		t.Errorf("imported link = %s, want it on its domain", got)
	}
	if got := importOf(t, to, strings.ReplaceAll(shlink, "one", "two"), "--from", "shlink", "--domain", "s.test.example"); got.status != 1 || !strings.Contains(got.stderr, "Imported 1 links, rejected 2 rows") {
		t.Errorf("import to one domain = %+v, want the first row of the code", got)
	}
	if got := terse(t, to, "links", "show", "s.test.example/two").ok(t); !strings.Contains(got, "https://example.com/1\n") {
		t.Errorf("imported link = %s, want it on the domain of --domain", got)
	}
}
