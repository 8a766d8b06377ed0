//go:build unix

// Package grafana_test checks the queries of the dashboard with promtool, and its panels.
// The tests of deploy/prometheus check that the metrics exist.
package grafana_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// dashboard is the part of a dashboard that the tests read.
type dashboard struct {
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

func read(t *testing.T) dashboard {
	t.Helper()
	content, err := os.ReadFile("terse.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions returns all queries, as Grafana sends them to Prometheus.
func (d *dashboard) expressions() []string {
	sent := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")
	var all []string
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, sent.Replace(target.Expr))
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, sent.Replace(a.Expr))
	}
	return all
}

// TestExpressions parses every query with promtool, as a recording rule.
func TestExpressions(t *testing.T) {
	t.Parallel()
	d := read(t)
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for i, e := range d.expressions() {
		rules = append(rules, rule{fmt.Sprintf("panel:%d", i), e})
	}
	if len(rules) < 50 {
		t.Fatalf("%d queries in the dashboard, want at least 50", len(rules))
	}
	content, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yml") // JSON is YAML
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool, err := testenv.Promtool()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v: %s", err, out)
	}
}

// TestRecordedSeries checks that the rules record every series that the dashboard uses.
func TestRecordedSeries(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile("../prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	d := read(t)
	found := 0
	for _, e := range d.expressions() {
		for _, name := range regexp.MustCompile(`terse:[a-z_]+:[a-z0-9_]+`).FindAllString(e, -1) {
			found++
			if !strings.Contains(string(rules), "record: "+name+"\n") {
				t.Errorf("no rule records %s", name)
			}
		}
	}
	if found == 0 {
		t.Error("the dashboard shows no service level objectives")
	}
}

// TestPanels checks that panels have their own ids and titles, and do not overlap.
func TestPanels(t *testing.T) {
	t.Parallel()
	d := read(t)
	ids, titles := map[int]bool{}, map[string]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || titles[p.Title] {
			t.Errorf("panel %d, %q, has the id or the title of another panel", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q has no query", p.Title)
		}
		for _, target := range p.Targets {
			if target.LegendFormat == "" {
				t.Errorf("panel %q has a series without a legend", p.Title)
			}
		}
		for _, q := range d.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q overlap", p.Title, q.Title)
			}
		}
	}
}
