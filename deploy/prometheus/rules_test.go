//go:build unix

// Package prometheus_test holds that every shipped alert fires and clears, names
// only metrics that there are, and has its section in the runbook. That the rules
// fit what a running Terse says is shown in deploy/stack.
package prometheus_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terse/terse/store/storetest/servers"
)

// alert is what a test needs to know of one in rules.yml.
type alert struct {
	severity    string
	annotations map[string]string
}

var (
	alertBlock = regexp.MustCompile(`(?s)- alert: (\w+)\n(.*?)runbook_url: (\S+)\n`)
	severity   = regexp.MustCompile(`\n +labels: \{severity: (page|ticket)\}\n`)
	summary    = regexp.MustCompile(`\n +summary: (.+)\n`)
	metric     = regexp.MustCompile(`\bterse_[a-z0-9_]+`)
	suffix     = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// alerts returns those of rules.yml by name.
func alerts(t *testing.T) map[string]alert {
	t.Helper()
	text := read(t, "deploy/prometheus/rules.yml")
	all := map[string]alert{}
	for _, m := range alertBlock.FindAllStringSubmatch(text, -1) {
		severity, summary := severity.FindStringSubmatch(m[2]), summary.FindStringSubmatch(m[2])
		if severity == nil || summary == nil {
			t.Fatalf("alert %s lacks a severity or a summary", m[1])
		}
		all[m[1]] = alert{severity[1], map[string]string{"summary": summary[1], "runbook_url": m[3]}}
	}
	if n := strings.Count(text, "- alert:"); n != len(all) || n < 20 {
		t.Fatalf("rules.yml has %d alerts, of which %d can be read", n, len(all))
	}
	return all
}

// promtool runs promtool.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := servers.Promtool()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

func TestRulesAreValid(t *testing.T) {
	t.Parallel()
	if out, err := promtool(t, "check", "rules", "rules.yml"); err != nil {
		t.Errorf("promtool check rules: %v: %s", err, out)
	}
	if out, err := promtool(t, "check", "config", "prometheus.yml"); err != nil {
		t.Errorf("promtool check config: %v: %s", err, out)
	}
}

// TestMetricsExist holds the rules, the runbook and the dashboard to the list of
// all metrics, which is held to the code.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(terse_[a-z0-9_]+)` \\|").FindAllStringSubmatch(read(t, "docs/METRICS.md"), -1) {
		known[m[1]] = true
	}
	for _, path := range []string{"deploy/prometheus/rules.yml", "deploy/RUNBOOK.md", "deploy/grafana/terse.json"} {
		names := metric.FindAllString(read(t, path), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", path)
		}
		for _, name := range names {
			if !known[name] && !known[suffix.ReplaceAllString(name, "")] {
				t.Errorf("%s names %s, which is not in docs/METRICS.md", path, name)
			}
		}
	}
}

// TestRunbook holds that every alert leads to its section, and every section
// answers what somebody who is woken up asks.
func TestRunbook(t *testing.T) {
	t.Parallel()
	sections := map[string]string{}
	for _, section := range strings.Split("\n"+read(t, "deploy/RUNBOOK.md"), "\n### ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		sections[name] = text
	}
	all := alerts(t)
	for name, a := range all {
		if want := "https://github.com/terse/terse/blob/main/deploy/RUNBOOK.md#" + strings.ToLower(name); a.annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url = %q, want %q", name, a.annotations["runbook_url"], want)
		}
		for _, part := range []string{"**Means:**", "**See:**", "**Do:**", "**Over:**"} {
			if !strings.Contains(sections[name], part) {
				t.Errorf("the runbook's section of %s lacks %s", name, part)
			}
		}
	}
	for name := range sections {
		if _, ok := all[name]; strings.HasPrefix(name, "Terse") && !ok {
			t.Errorf("the runbook has a section for %s, which is no alert", name)
		}
	}
}

// TestRunbookLinks holds that what the runbook leads to is there.
func TestRunbookLinks(t *testing.T) {
	t.Parallel()
	text := read(t, "deploy/RUNBOOK.md")
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchors[strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]*)#?([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		if m[1] != "" {
			read(t, filepath.Join("deploy", m[1]))
		} else if !anchors[m[2]] {
			t.Errorf("the runbook has no section #%s", m[2])
		}
	}
}

// condition is one under which an alert fires, and then clears.
type condition struct {
	interval             string // of the samples; default 1m
	series               map[string]string
	quiet, fires, clears string            // when it is looked at; it is quiet at 0m by default
	labels               map[string]string // beside alertname and severity
}

// phase is a time in which calls fail at one rate.
type phase struct {
	samples int
	tenths  int // of the rate at which the budget lasts its month
	traffic int // how many times as much as usual; 0 stands for 1
}

// grow returns the values of a counter that grows by each in every sample of a phase.
func grow(phases []phase, each func(p phase) int) string {
	var values []string
	sum := 0
	for _, p := range phases {
		values = append(values, fmt.Sprintf("%d+%dx%d", sum, each(p), p.samples-1))
		sum += p.samples * each(p)
	}
	return strings.Join(values, " ")
}

// failing makes series of calls with the labels good, of which some have the labels bad.
// budget is in how many of them one may fail.
func failing(budget int, good, bad string) func(phases []phase) map[string]string {
	return func(phases []phase) map[string]string {
		return map[string]string{
			`terse_http_requests_total{` + good + `}`: grow(phases, func(p phase) int { return 10*budget*max(1, p.traffic) - p.tenths }),
			`terse_http_requests_total{` + bad + `}`:  grow(phases, func(p phase) int { return p.tenths }),
		}
	}
}

// slow returns the series of redirects of which one in a hundred may be slow.
func slow(phases []phase) map[string]string {
	const redirects = `terse_http_request_duration_seconds`
	return map[string]string{
		redirects + `_count{route="/:code", method="GET"}`:              grow(phases, func(p phase) int { return 1000 * max(1, p.traffic) }),
		redirects + `_bucket{route="/:code", method="GET", le="0.025"}`: grow(phases, func(p phase) int { return 1000*max(1, p.traffic) - p.tenths }),
	}
}

// How budgets burn so that one pair of windows alone fires, and just below that before.
// Samples of the first two are a minute apart, of the others five.
var (
	burnsInAnHour   = []phase{{samples: 360}, {samples: 60, tenths: 135}, {samples: 60, tenths: 155}, {samples: 60}}
	burnsInSixHours = []phase{{samples: 480, tenths: 56}, {samples: 420, tenths: 64}, {samples: 90}}
	burnsInADay     = []phase{{samples: 576, traffic: 10}, {samples: 288, tenths: 28}, {samples: 288, tenths: 32}, {samples: 72}}
	burnsInThree    = []phase{{samples: 900, tenths: 9}, {samples: 876, tenths: 11}, {samples: 96}}
)

// windows returns the conditions of an alert's two pairs of windows, each alone.
func windows(alert string, fast bool, series func(phases []phase) map[string]string) map[string]condition {
	if fast {
		return map[string]condition{
			alert + ": an hour":   {series: series(burnsInAnHour), quiet: "419m", fires: "479m", clears: "490m"},
			alert + ": six hours": {series: series(burnsInSixHours), quiet: "470m", fires: "890m", clears: "940m"},
		}
	}
	return map[string]condition{
		alert + ": a day":      {interval: "5m", series: series(burnsInADay), quiet: "72h", fires: "96h", clears: "99h"},
		alert + ": three days": {interval: "5m", series: series(burnsInThree), quiet: "74h", fires: "147h", clears: "155h"},
	}
}

// both has the conditions of all alerts that have two pairs of windows.
func both() map[string]condition {
	all := map[string]condition{}
	for alert, series := range map[string]func([]phase) map[string]string{
		"TerseRedirectErrorsFast": failing(10000, `route="/:code", method="GET", status="302"`, `route="/:code", method="GET", status="503"`),
		"TerseRedirectErrorsSlow": failing(10000, `route="/:code", method="GET", status="302"`, `route="/:code", method="HEAD", status="500"`),
		"TerseRedirectSlowFast":   slow,
		"TerseRedirectSlowSlow":   slow,
		"TerseCreateErrorsFast":   failing(1000, `route="/api/v1/links", method="POST", status="201"`, `route="/", method="POST", status="503"`),
		"TerseCreateErrorsSlow":   failing(1000, `route="/api/v1/links", method="POST", status="201"`, `route="/api/v1/links/batch", method="POST", status="500"`),
	} {
		maps.Copy(all, windows(alert, strings.HasSuffix(alert, "Fast"), series))
	}
	return all
}

// conditions are those of the other alerts, by the alert's name; with a colon and what is
// particular to it, where one alert has several.
var conditions = map[string]condition{
	"TerseNodesAway": {
		series: map[string]string{`up{job="terse", instance="a"}`: "1x5 0x10 1x20"},
		fires:  "10m", clears: "20m",
	},
	"TerseNodeDown": {
		series: map[string]string{`up{job="terse", instance="a"}`: "1x5 0x10 1x20"},
		fires:  "10m", clears: "20m", labels: map[string]string{"job": "terse", "instance": "a"},
	},
	"TerseNodeRestarts": {
		series: map[string]string{`process_start_time_seconds{job="terse", instance="a"}`: "0x5 300 360 420 480 540x60"},
		fires:  "12m", clears: "60m", labels: map[string]string{"job": "terse", "instance": "a"},
	},
	"TerseNodeDescriptors": {
		series: map[string]string{
			`process_open_fds{job="terse", instance="a"}`: "10x5 90x20 10x30",
			`process_max_fds{job="terse", instance="a"}`:  "100x60",
		},
		fires: "20m", clears: "40m", labels: map[string]string{"job": "terse", "instance": "a"},
	},
	"TerseShedding": {
		series: map[string]string{
			`terse_overload_requests_total{class="write", result="admitted", instance="a"}`: "0+600x60",
			`terse_overload_requests_total{class="write", result="shed", instance="a"}`:     "0x5 0+60x20 1200x40",
		},
		fires: "20m", clears: "40m", labels: map[string]string{"class": "write"},
	},
	"TerseVisitorsLimited": {
		series: map[string]string{
			`terse_redirect_visits_total{result="live", instance="a"}`:    "0+600x60",
			`terse_redirect_visits_total{result="limited", instance="a"}`: "0x5 0+60x20 1200x40",
		},
		fires: "22m", clears: "45m",
	},
	"TerseConnectionsRefused": {
		series: map[string]string{`terse_http_connections_refused_total{instance="a"}`: "0x5 3x30"},
		fires:  "8m", clears: "20m", labels: map[string]string{"instance": "a"},
	},
	"TerseNodeVersions": {
		series: map[string]string{
			`terse_build_info{version="1", instance="a"}`: "1x200 _x100",
			`terse_build_info{version="2", instance="b"}`: "1x300",
		},
		fires: "150m", clears: "240m",
	},
	"TerseLeaseLost": {
		series: map[string]string{`terse_idgen_node{instance="a"}`: "7x5 -1x10 9x20"},
		fires:  "10m", clears: "20m", labels: map[string]string{"instance": "a"},
	},
	"TerseClockBehind": {
		series: map[string]string{`terse_idgen_refused_total{reason="clock_behind", instance="a"}`: "0x5 9x30"},
		fires:  "8m", clears: "20m", labels: map[string]string{"instance": "a", "reason": "clock_behind"},
	},
	"TerseShardWithoutPrimary": {
		series: map[string]string{
			`terse_postgres_up{shard="s1", server="primary", instance="a"}`: "1x5 0x10 1x20",
			`terse_postgres_up{shard="s1", server="primary", instance="b"}`: "1x5 0x10 1x20",
			`terse_postgres_up{shard="s2", server="primary", instance="b"}`: "1x40",
		},
		fires: "10m", clears: "20m", labels: map[string]string{"shard": "s1"},
	},
	"TerseSplitBrain": {
		series: map[string]string{
			`terse_postgres_writable_servers{shard="s1", instance="a"}`: "1x5 2x10 1x20",
			`terse_postgres_writable_servers{shard="s1", instance="b"}`: "1x40",
			`terse_postgres_writable_servers{shard="s2", instance="a"}`: "1x40",
		},
		fires: "10m", clears: "20m", labels: map[string]string{"shard": "s1"},
	},
	"TerseClockWrong: ahead": {
		series: map[string]string{
			`terse_postgres_clock_offset_seconds{shard="s1", instance="a"}`: "0.9x5 1.1x10 0.9x20",
			`terse_postgres_clock_offset_seconds{shard="s1", instance="b"}`: "0x40",
		},
		fires: "10m", clears: "20m", labels: map[string]string{"shard": "s1", "instance": "a"},
	},
	"TerseClockWrong: behind": {
		series: map[string]string{`terse_postgres_clock_offset_seconds{shard="s1", instance="a"}`: "-0.9x5 -1.1x10 -0.9x20"},
		fires:  "10m", clears: "20m", labels: map[string]string{"shard": "s1", "instance": "a"},
	},
	"TerseShardUnreachable": {
		series: map[string]string{
			`terse_postgres_up{shard="s1", server="primary", instance="a"}`: "1x5 0x10 1x20",
			`terse_postgres_up{shard="s1", server="primary", instance="b"}`: "1x40",
		},
		fires: "10m", clears: "20m", labels: map[string]string{"shard": "s1"},
	},
	"TerseReplicaDown": {
		series: map[string]string{`terse_postgres_up{shard="s1", server="replica-1", instance="a"}`: "1x5 0x10 1x20"},
		fires:  "12m", clears: "20m", labels: map[string]string{"shard": "s1", "server": "replica-1"},
	},
	"TerseReplicaLag": {
		series: map[string]string{`terse_postgres_replica_lag_seconds{shard="s1", server="replica-1", instance="a"}`: "0x5 60x10 0x20"},
		fires:  "10m", clears: "20m", labels: map[string]string{"shard": "s1", "server": "replica-1"},
	},
	"TersePostgresBreakerOpen": {
		series: map[string]string{`terse_postgres_breaker_open{shard="s1", server="primary", role="api", instance="a"}`: "0x5 1x10 0x20"},
		fires:  "12m", clears: "20m", labels: map[string]string{"shard": "s1", "server": "primary", "role": "api"},
	},
	"TerseConnectionsExhausted": {
		series: map[string]string{
			`terse_postgres_connections_used{shard="s1", server="primary", role="api", instance="a"}`:              "1x5 6x30 1x30",
			`terse_postgres_connections_most{shard="s1", server="primary", role="api", instance="a"}`:              "6x70",
			`terse_postgres_connection_wait_seconds_total{shard="s1", server="primary", role="api", instance="a"}`: "0+300x40 12000x30",
		},
		fires: "30m", clears: "50m", labels: map[string]string{"shard": "s1", "server": "primary", "role": "api"},
	},
	"TerseShardMapRefused": {
		series: map[string]string{`terse_shard_map_refused{instance="a"}`: "0x5 1x10 0x20"},
		fires:  "10m", clears: "20m",
	},
	"TerseShardMapOld": {
		series: map[string]string{`terse_shard_map_read_timestamp_seconds{shard="s1", instance="a"}`: "0+60x5 300x10 960+60x20"},
		fires:  "12m", clears: "20m", labels: map[string]string{"shard": "s1"},
	},
	"TerseMovedFailures": {
		series: map[string]string{`terse_shard_moved_failures_total{instance="a"}`: "0x5 3x40"},
		fires:  "8m", clears: "30m",
	},
	"TerseDatabaseWritesFail": {
		series: map[string]string{`terse_sqlite_transaction_failures_total{instance="a"}`: "0x5 3x40"},
		fires:  "8m", clears: "30m", labels: map[string]string{"instance": "a"},
	},
	"TerseEditsUnseen": {
		series: map[string]string{`terse_outbox_oldest_age_seconds{shard="s1", audience="caches", instance="a"}`: "0x5 0+60x10 0x20"},
		fires:  "12m", clears: "20m", labels: map[string]string{"shard": "s1"},
	},
	"TersePurgesLate": {
		series: map[string]string{`terse_outbox_oldest_age_seconds{shard="s1", audience="cdn", instance="a"}`: "0x5 0+60x10 0x20"},
		fires:  "15m", clears: "20m", labels: map[string]string{"shard": "s1"},
	},
	"TersePurgesFail": {
		series: map[string]string{`terse_cdn_purges_total{result="error", instance="a"}`: "0x5 0+10x20 200x30"},
		fires:  "20m", clears: "40m",
	},
	"TerseCacheStale": {
		series: map[string]string{
			`terse_cache_staleness_seconds_count{instance="a"}`:          "0+6x70",
			`terse_cache_staleness_seconds_bucket{le="1", instance="a"}`: "0+6x5 30+3x20 99+6x40",
			`terse_cache_staleness_unmeasured_total{instance="a"}`:       "0x70",
		},
		fires: "20m", clears: "45m", labels: map[string]string{"instance": "a"},
	},
	"TerseCacheStale: unmeasured": {
		series: map[string]string{
			`terse_cache_staleness_seconds_count{instance="a"}`:          "0+6x70",
			`terse_cache_staleness_seconds_bucket{le="1", instance="a"}`: "0+6x70",
			`terse_cache_staleness_unmeasured_total{instance="a"}`:       "0x10 0+1x20 20x40",
		},
		quiet: "10m", fires: "25m", clears: "50m", labels: map[string]string{"instance": "a"},
	},
	"TerseRedisBreakerOpen": {
		series: map[string]string{`terse_redis_breaker_open{instance="a"}`: "0x5 1x10 0x20"},
		fires:  "12m", clears: "20m", labels: map[string]string{"instance": "a"},
	},
	"TerseRedisChannelDown": {
		series: map[string]string{`terse_redis_channel_up{instance="a"}`: "1x5 0x10 1x20"},
		fires:  "12m", clears: "20m", labels: map[string]string{"instance": "a"},
	},
	"TerseLimitsUncounted": {
		series: map[string]string{`terse_ratelimit_uncounted_total{instance="a"}`: "0x5 3x40"},
		fires:  "8m", clears: "30m",
	},
	"TerseClicksDropped": {
		series: map[string]string{`terse_clicks_dropped_total{shard="s1", reason="full", instance="a"}`: "0x5 3x40"},
		fires:  "8m", clears: "30m", labels: map[string]string{"shard": "s1", "reason": "full"},
	},
	"TerseClicksPending": {
		series: map[string]string{
			`terse_clicks_pending{shard="s1", instance="a"}`:       "0x5 9x20 0x20",
			`terse_clicks_flushed_total{shard="s1", instance="a"}`: "0+60x5 300x20 360+60x20",
		},
		fires: "20m", clears: "30m", labels: map[string]string{"shard": "s1"},
	},
	"TerseBlocklistOld": {
		series: map[string]string{`terse_blocklist_failures_total{source="file", shard="", instance="a"}`: "0x5 0+6x30 180x30"},
		fires:  "30m", clears: "45m", labels: map[string]string{"source": "file"},
	},
	"TerseScanBehind": {
		series: map[string]string{
			`terse_scan_backlog_seconds{shard="s1", instance="a"}`:                   "0x5 0+60x30 0x30",
			`terse_scan_failures_total{scan="reputation", shard="s1", instance="a"}`: "0x5 0+1x30 30x30",
			`terse_scan_backlog_seconds{shard="s2", instance="a"}`:                   "900x70", // of a node that scans no more
			`terse_scan_failures_total{scan="reputation", shard="s2", instance="a"}`: "9x70",
			`terse_scan_failures_total{scan="blocklist", shard="s2", instance="a"}`:  "0+1x70",
		},
		quiet: "14m", fires: "30m", clears: "45m", labels: map[string]string{"shard": "s1"},
	},
	"TerseReportsLost": {
		series: map[string]string{`terse_reports_received_total{result="lost", instance="a"}`: "0x5 3x40"},
		fires:  "8m", clears: "30m",
	},
	"TerseReportsWaiting": {
		series: map[string]string{`terse_reports_open{shard="s1", instance="a"}`: "0x5 2000x30 10x20"},
		fires:  "20m", clears: "40m", labels: map[string]string{"shard": "s1"},
	},
}

// TestAlerts has promtool evaluate the rules over the series of each condition.
func TestAlerts(t *testing.T) {
	t.Parallel()
	all := alerts(t)
	rules, err := filepath.Abs("rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	shown := both()
	maps.Copy(shown, conditions)
	covered := map[string]bool{}
	for name := range shown {
		alert, _, _ := strings.Cut(name, ":")
		covered[alert] = true
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !covered[name] {
			t.Errorf("no condition shows that %s fires and clears", name)
		}
	}
	for interval, evaluation := range map[string]string{"1m": "1m", "5m": "30m"} { // days are long
		t.Run("every "+interval, func(t *testing.T) {
			t.Parallel()
			var tests []any
			for _, name := range slices.Sorted(maps.Keys(shown)) {
				if c := shown[name]; cmp.Or(c.interval, "1m") == interval {
					tests = append(tests, c.test(t, name, all, interval))
				}
			}
			content, err := json.Marshal(map[string]any{
				"rule_files": []string{rules}, "evaluation_interval": evaluation, "tests": tests,
				"group_eval_order": []string{"terse-slo", "terse-budgets"},
			})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "test.yml") // JSON is YAML
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := promtool(t, "test", "rules", path); err != nil {
				t.Errorf("promtool test rules: %v: %s", err, out)
			}
		})
	}
}

// test returns what promtool is to look at.
func (c condition) test(t *testing.T, name string, all map[string]alert, interval string) map[string]any {
	t.Helper()
	alert, _, _ := strings.Cut(name, ":")
	a, ok := all[alert]
	if !ok {
		t.Fatalf("there is no alert %s", alert)
	}
	labels := map[string]string{"severity": a.severity}
	maps.Copy(labels, c.labels)
	var series []map[string]string
	for _, key := range slices.Sorted(maps.Keys(c.series)) {
		series = append(series, map[string]string{"series": key, "values": c.series[key]})
	}
	firing := []map[string]any{{"exp_labels": labels, "exp_annotations": a.annotations}}
	look := func(at string, alerts any) map[string]any {
		return map[string]any{"eval_time": at, "alertname": alert, "exp_alerts": alerts}
	}
	return map[string]any{
		"name": name, "interval": interval, "input_series": series,
		"alert_rule_test": []any{look(cmp.Or(c.quiet, "0m"), []any{}), look(c.fires, firing), look(c.clears, []any{})},
	}
}
