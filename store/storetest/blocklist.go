package storetest

import (
	"crypto/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// RunBlocklist tests all promises of store.Blocklist. open returns an empty list
// and closes it with tb.Cleanup.
func RunBlocklist(t *testing.T, open func(tb testing.TB) store.Blocklist) {
	t.Helper()
	list := open(t)
	for _, p := range []struct {
		name string
		test func(t *testing.T, list store.Blocklist)
	}{
		{"keeps every field", keepsBlocked},
		{"blocking again replaces the reason", blocksAgain},
		{"unblocks once", unblocks},
		{"pages are sorted and whole", pagesBlocked},
		{"ended context writes nothing", endedBlock},
	} {
		t.Run(p.name, func(t *testing.T) { p.test(t, list) })
	}
}

// RunBlocklistSource tests all promises of store.BlocklistSource. See RunBlocklist
// for open.
func RunBlocklistSource(t *testing.T, open func(tb testing.TB) store.BlocklistSource) {
	t.Helper()
	RunBlocklist(t, func(tb testing.TB) store.Blocklist { return open(tb) })
	t.Run("version grows with every change", func(t *testing.T) { growsVersion(t, open(t)) })
}

// newBlocked returns a host that no other subtest blocks.
func newBlocked() store.BlockedHost {
	return store.BlockedHost{
		Pattern: store.HostPattern{Host: strings.ToLower(rand.Text()[:20]) + ".example"},
		Reason:  "Ann's reason: 100%", By: "key_a", BlockedAt: after(1),
	}
}

func block(t *testing.T, list store.Blocklist, h store.BlockedHost) {
	t.Helper()
	if err := list.BlockHost(t.Context(), h); err != nil {
		t.Fatalf("BlockHost(%v) = %v, want nil", h.Pattern, err)
	}
}

// blocked returns all hosts, read in pages of n.
func blocked(t *testing.T, list store.Blocklist, n int) []store.BlockedHost {
	t.Helper()
	var all []store.BlockedHost
	for after := ""; ; {
		page, err := list.BlockedHosts(t.Context(), after, n)
		if err != nil || len(page) > n {
			t.Fatalf("BlockedHosts(%q, %d) = %d hosts, %v, want %[2]d at most", after, n, len(page), err)
		}
		if all = append(all, page...); len(page) < n {
			return all
		}
		after = page[n-1].Pattern.String()
	}
}

// wantBlocked checks the entry for a pattern. The zero value of want means that
// there must be no entry.
func wantBlocked(t *testing.T, list store.Blocklist, p store.HostPattern, want store.BlockedHost) {
	t.Helper()
	var got store.BlockedHost
	for _, h := range blocked(t, list, 1000) {
		if h.Pattern == p {
			got = h
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("BlockedHosts() has %+v for %v, want %+v", got, p, want)
	}
}

func keepsBlocked(t *testing.T, list store.Blocklist) {
	whole, plain, alone := newBlocked(), newBlocked(), newBlocked()
	plain.Reason, plain.By = "", ""
	alone.Pattern.Exact = true
	for _, h := range []store.BlockedHost{whole, plain, alone} {
		block(t, list, h)
		wantBlocked(t, list, h.Pattern, h)
	}
}

func blocksAgain(t *testing.T, list store.Blocklist) {
	first := newBlocked()
	block(t, list, first)
	again := first
	again.Reason, again.By, again.BlockedAt = "another", "key_b", after(9)
	block(t, list, again)
	want := first
	want.Reason = "another"
	wantBlocked(t, list, first.Pattern, want)
}

func unblocks(t *testing.T, list store.Blocklist) {
	h, alone := newBlocked(), newBlocked()
	alone.Pattern = store.HostPattern{Host: h.Pattern.Host, Exact: true}
	block(t, list, h)
	block(t, list, alone)
	if err := list.UnblockHost(t.Context(), h.Pattern); err != nil {
		t.Fatalf("UnblockHost(%v) = %v, want nil", h.Pattern, err)
	}
	wantBlocked(t, list, h.Pattern, store.BlockedHost{})
	wantBlocked(t, list, alone.Pattern, alone)
	wantError(t, "UnblockHost() again", list.UnblockHost(t.Context(), h.Pattern), store.ErrNotFound)
}

func pagesBlocked(t *testing.T, list store.Blocklist) {
	for range 7 {
		block(t, list, newBlocked())
	}
	var patterns []string
	for _, h := range blocked(t, list, 3) {
		patterns = append(patterns, h.Pattern.String())
	}
	if whole := blocked(t, list, 1000); len(whole) != len(patterns) || len(whole) < 7 {
		t.Errorf("pages of 3 have %d hosts, one page has %d, want the same, 7 at least", len(patterns), len(whole))
	}
	if !slices.IsSorted(patterns) {
		t.Errorf("BlockedHosts() = %v, want them sorted", patterns)
	}
}

func endedBlock(t *testing.T, list store.Blocklist) {
	h := newBlocked()
	if err := list.BlockHost(ended(t), h); err == nil {
		t.Error("BlockHost() with an ended context = nil, want an error")
	}
	wantBlocked(t, list, h.Pattern, store.BlockedHost{})
}

func growsVersion(t *testing.T, list store.BlocklistSource) {
	version := func() int64 {
		t.Helper()
		v, err := list.BlocklistVersion(t.Context())
		if err != nil {
			t.Fatalf("BlocklistVersion() = %v, want nil", err)
		}
		return v
	}
	h := newBlocked()
	v0 := version()
	block(t, list, h)
	v1 := version()
	if err := list.UnblockHost(t.Context(), h.Pattern); err != nil {
		t.Fatalf("UnblockHost() = %v, want nil", err)
	}
	if v2 := version(); v1 <= v0 || v2 <= v1 || version() != v2 {
		t.Errorf("versions at first, after a block and after an unblock = %d, %d, %d, want each change to increase the version, and nothing else to", v0, v1, v2)
	}
}
