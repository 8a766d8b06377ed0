//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// create creates a link anonymously and returns the status.
func (p *node) create(target string) int {
	p.t.Helper()
	response, err := http.Post(p.url+"/api/v1/links", "application/json", strings.NewReader(`{"url":"`+target+`"}`))
	must(p.t, err)
	must(p.t, response.Body.Close())
	return response.StatusCode
}

func (p *node) awaitCreate(target string, want int) {
	p.t.Helper()
	testenv.Await(p.t, fmt.Sprintf("create of %s to return %d", target, want), func() bool { return p.create(target) == want })
}

func TestBlockCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "hosts")
	must(t, os.WriteFile(file, []byte("file.example\n"), 0o600))
	data := filepath.Join(dir, "data")
	p := start(t, data, "TERSE_BLOCKLIST_FILE="+file)
	environ := []string{"TERSE_DATA_DIR=" + data}
	if got := p.create("https://www.file.example/"); got != http.StatusUnprocessableEntity {
		t.Errorf("create of a host in the file = %d, want 422", got)
	}
	if got := p.create("https://www.evil.example/"); got != http.StatusCreated {
		t.Errorf("create of a host that is not blocked = %d, want 201", got)
	}
	got := terse(t, environ, "block", "add", "--reason", "phishing", "Evil.example", "=alone.example")
	if got.status != 0 || got.stdout != "Blocked evil.example.\nBlocked =alone.example.\n" {
		t.Fatalf("block add = %+v, want success", got)
	}
	p.awaitCreate("https://www.evil.example/", http.StatusUnprocessableEntity)
	if got := terse(t, environ, "block", "list"); got.status != 0 || !strings.Contains(got.stdout, "evil.example") || !strings.Contains(got.stdout, "phishing") {
		t.Errorf("block list = %+v, want the host and its reason", got)
	}
	if got := terse(t, environ, "block", "remove", "EVIL.example."); got.status != 0 {
		t.Errorf("block remove = %+v, want success", got)
	}
	p.awaitCreate("https://www.evil.example/", http.StatusCreated)
	for _, args := range [][]string{
		{"block", "remove", "evil.example"},
		{"block", "add", "com", "https://evil.example/"},
		{"block", "add", "--reason", "\x1b[31m", "evil.example"},
	} {
		if got := terse(t, environ, args...); got.status == 0 || got.stderr == "" {
			t.Errorf("%v = %+v, want an error", args, got)
		}
	}

	must(t, os.WriteFile(file+".new", []byte("other.example\n"), 0o600))
	must(t, os.Rename(file+".new", file))
	p.awaitCreate("https://other.example/", http.StatusUnprocessableEntity)
	p.awaitCreate("https://file.example/", http.StatusCreated)
	must(t, os.WriteFile(file, []byte("not a host\n"), 0o600))
	testenv.Await(t, "the bad file to be counted", func() bool { return p.metric("terse_blocklist_failures_total", `source="file"`) > 0 })
	if got := p.create("https://other.example/"); got != http.StatusUnprocessableEntity {
		t.Errorf("create after the file turned bad = %d, want 422 still", got)
	}
	refused := terse(t, []string{"TERSE_DATA_DIR=" + t.TempDir(), "TERSE_ADMIN_LISTEN=127.0.0.1:0", "TERSE_BLOCKLIST_FILE=" + file}, "serve")
	if refused.status != 2 || !strings.Contains(refused.stderr, "TERSE_BLOCKLIST_FILE: ") {
		t.Errorf("serve with a bad file = %+v, want status 2 and the variable", refused)
	}
}
