package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestLinksShare shares the statistics of a link, lists the key and revokes it.
func TestLinksShare(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	database := []string{"TERSE_DATA_DIR=" + dir}
	environ := p.newKey(owns+",stats:read", database...)
	terse(t, environ, "shorten", "example.com/1", "--alias", "spring").ok(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status := func(page string) int {
		t.Helper()
		response, err := http.Get(page)
		must(t, err)
		must(t, response.Body.Close())
		return response.StatusCode
	}
	protected := terse(t, environ, "links", "share", p.url+"/spring", "--expires", "30d", "--password-file", password)
	page := strings.TrimSpace(terse(t, environ, "links", "share", "spring").ok(t))
	for _, address := range []string{page, strings.TrimSpace(protected.ok(t))} {
		if !strings.HasPrefix(address, p.url+"/~/s/tk_") || status(address) != http.StatusOK {
			t.Errorf("the shared page %s = %d, want 200", address, status(address))
		}
	}
	list := terse(t, database, "key", "list").ok(t)
	if strings.Count(list, "statistics of link spring") != 2 {
		t.Errorf("key list = %s, want both pages", list)
	}
	_, id, _ := strings.Cut(protected.stderr, "Its key is ")
	id = strings.TrimSuffix(strings.TrimSpace(id), ".")
	terse(t, database, "key", "revoke", id).ok(t)
	testenv.Await(t, "the end of the revoked page", func() bool { return status(strings.TrimSpace(protected.stdout)) == http.StatusNotFound })
	if got := status(page); got != http.StatusOK {
		t.Errorf("the other page = %d, want 200", got)
	}
	if got := terse(t, environ, "links", "share", "spring", "--expires", "yesterday", "--password-file", "/nonexistent"); got.status != 2 || !strings.Contains(got.stderr, "--expires") || !strings.Contains(got.stderr, "--password-file") {
		t.Errorf("wrong flags = %+v, want 2 and both flags", got)
	}
	if got := terse(t, environ, "links", "share", "nothing"); got.status != 1 || !strings.Contains(got.stderr, "404") && !strings.Contains(got.stderr, "no such link") {
		t.Errorf("an unknown link = %+v, want an error", got)
	}
}

// TestLinksShareOfSets shares the statistics of several links together. The command needs exactly one
// choice, so that nobody shares all links by accident.
func TestLinksShareOfSets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	database := []string{"TERSE_DATA_DIR=" + dir}
	environ := p.newKey(owns+",stats:read", database...)
	base, err := url.Parse(p.url)
	must(t, err)
	c := client(t)
	for _, tt := range []struct{ flag, value, says string }{
		{"--all", "", "all your links"}, {"--tag", "a b/ü", `"a b/ü"`}, {"--domain", base.Host, "your links on " + base.Host},
	} {
		args := []string{"links", "share", tt.flag}
		if tt.value != "" {
			args = append(args, tt.value)
		}
		got := terse(t, environ, args...)
		page := strings.TrimSpace(got.ok(t))
		if status, _ := ask(t, c, http.MethodGet, page, "", ""); status != http.StatusOK || !strings.Contains(got.stderr, tt.says) {
			t.Errorf("%v = %q with the page %d, want %q and a page", args, got.stderr, status, tt.says)
		}
	}
	for _, args := range [][]string{
		{}, {"spring", "--all"}, {"spring", "--tag", "a"}, {"--all", "--tag", "a"}, {"--all", "--domain", "x.example"}, {"--tag", "a", "--domain", "x.example"},
	} {
		if got := terse(t, environ, append([]string{"links", "share"}, args...)...); got.status != 2 || got.stdout != "" {
			t.Errorf("links share %v = %+v, want 2", args, got)
		}
	}
	if got := terse(t, environ, "links", "share", "--domain", "unknown.example"); got.status != 1 || !strings.Contains(got.stderr, "domain") {
		t.Errorf("an unknown domain = %+v, want an error", got)
	}
}
