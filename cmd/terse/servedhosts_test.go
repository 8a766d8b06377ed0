package main

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/domains"
)

// TestHostOfTheConsoleIsServed obtains a certificate for the host of the console too.
func TestHostOfTheConsoleIsServed(t *testing.T) {
	t.Parallel()
	m, err := domains.New(t.Context(), domains.Options{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	must(t, err)
	with, without := servedHosts{"sho.rt", "console.sho.rt", m}, servedHosts{base: "sho.rt", domains: m}
	for host, want := range map[string][2]bool{"sho.rt": {true, true}, "console.sho.rt": {true, false}, "other.sho.rt": {}, "": {}} {
		if got := [2]bool{with.Allowed(host), without.Allowed(host)}; got != want {
			t.Errorf("Allowed(%q) = %v, want %v", host, got, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var managed []string
	with.obtain(ctx, func(hosts ...string) {
		managed = append(managed, hosts...)
		cancel()
	})
	slices.Sort(managed)
	if !slices.Equal(managed, []string{"console.sho.rt", "sho.rt"}) {
		t.Errorf("certificates are obtained for %v, want both hosts", managed)
	}
}
