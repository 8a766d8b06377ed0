package main

import (
	"net/http"
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
