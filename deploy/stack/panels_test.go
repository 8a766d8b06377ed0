//go:build unix

package main

import (
	"encoding/json"
	"os"
	"strings"
)

// wantPanels checks that every query of the dashboard finds a series in Prometheus. It
// skips queries about the embedded database. Queries about failures are changed to match
// a stack without failures.
func (s *stack) wantPanels(path string) {
	s.t.Helper()
	content, err := os.ReadFile(path)
	must(s.t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	must(s.t, json.Unmarshal(content, &dashboard))
	var instances []string
	for _, n := range s.Nodes {
		instances = append(instances, strings.TrimPrefix(n.Admin, "http://"))
	}
	sent := strings.NewReplacer("$__rate_interval", "1m", "$job", "terse", "$instance", "("+strings.Join(instances, "|")+")",
		`"429"`, `"302"`, `"5..|429"`, `"302"`)
	asked := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			if strings.Contains(target.Expr, "terse_sqlite_") {
				continue
			}
			asked++
			query := strings.TrimSuffix(sent.Replace(target.Expr), " > 0")
			s.await("the panel "+p.Title+" to show something: "+query, func() bool { return s.holds(query) })
		}
	}
	if asked < 50 {
		s.t.Errorf("%d queries in the dashboard, want at least 50", asked)
	}
}
