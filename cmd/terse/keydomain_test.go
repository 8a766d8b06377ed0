package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// TestKeyDomains creates keys that are bound to domains.
func TestKeyDomains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := []string{"TERSE_DATA_DIR=" + dir}
	d, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	registry := domains.NewRegistry(d, time.Now)
	for id, host := range map[string]string{"jT0xYqRm4": "go.example.com", "k7Qx9mB2a": "links.example.net"} {
		_, err := registry.Add(t.Context(), store.Domain{ID: id, Host: host, State: store.DomainActive}, "www."+host)
		must(t, err)
	}
	for _, tt := range []struct {
		args    string
		domains string // IDs
		usual   string
	}{
		{"", "", ""},
		{"--domain GO.example.com", "jT0xYqRm4", "jT0xYqRm4"},
		{"--domain www.links.example.net --domain default", "k7Qx9mB2a ", "k7Qx9mB2a"},
		{"--domain go.example.com --domain default --default-domain default", "jT0xYqRm4 ", ""},
		{"--default-domain go.example.com", "", "jT0xYqRm4"},
	} {
		created := terse(t, environ, append([]string{"key", "create", "--name", "bound"}, strings.Fields(tt.args)...)...)
		hash, ok := store.HashToken(strings.TrimSpace(created.stdout))
		if !ok {
			t.Fatalf("key create %s = %+v, want a token", tt.args, created)
		}
		key, err := d.KeyByHash(t.Context(), hash)
		if err != nil || strings.Join(key.Domains, " ") != tt.domains || key.DefaultDomain != tt.usual {
			t.Errorf("key create %s made %+v, %v, want the domains %q and the default domain %q", tt.args, key, err, tt.domains, tt.usual)
		}
	}
	if got := terse(t, environ, "key", "list"); !strings.Contains(got.stdout, "links.example.net,default") || !strings.Contains(got.stdout, "go.example.com") {
		t.Errorf("key list = %+v, want the hosts of the domains", got)
	}
	got := terse(t, environ, "key", "create", "--name", "bound", "--domain", "unknown.example", "--default-domain", "other.example")
	if got.status != 2 || !strings.Contains(got.stderr, `"unknown.example"`) || !strings.Contains(got.stderr, `"other.example"`) {
		t.Errorf("key create with unknown domains = %+v, want 2 and both names", got)
	}
	if got := terse(t, environ, "key", "create", "--name", "bound", "--domain", "go.example.com", "--default-domain", "default"); got.status != 2 {
		t.Errorf("key create with a default domain that it may not use = %+v, want 2", got)
	}
}
