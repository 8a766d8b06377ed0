//go:build unix

// Package prometheus_test checks that every shipped alert fires and clears, uses only
// metrics that exist, and has its section in the runbook. deploy/stack runs the rules
// over a running Terse.
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
	"time"

	"github.com/terse/terse/internal/testenv"
)

// alert is an alert of rules.yml.
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

// alerts returns the alerts of rules.yml by name.
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
		t.Fatalf("rules.yml has %d alerts, and the test can read %d of them", n, len(all))
	}
	return all
}

// promtool runs promtool and returns its output.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := testenv.Promtool()
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

// TestShardLossIsNoticedInTime computes the longest time from the loss of a shard to its
// alert, with the shipped intervals for Kubernetes and for a separate Prometheus.
func TestShardLossIsNoticedInTime(t *testing.T) {
	t.Parallel()
	const (
		noticed = 2 * time.Second // by a node, which starts a probe every second with a timeout of one second
		most    = time.Minute
	)
	rules := read(t, "deploy/prometheus/rules.yml")
	evaluated := duration(t, rules, `- name: terse-shards\n +interval: (\w+)`)
	waits := duration(t, rules, `(?s)- alert: TerseShardWithoutPrimary\n.*?for: (\w+)`)
	for path, pattern := range map[string]string{
		"deploy/k8s/components/monitoring/monitors.yaml": `(?s)port: admin\n.*?interval: (\w+)`,
		"deploy/prometheus/prometheus.yml":               `scrape_interval: (\w+)`,
	} {
		scraped := duration(t, read(t, path), pattern)
		// The alert waits for a whole number of evaluations.
		pending := (waits + evaluated - 1) / evaluated * evaluated
		if got := noticed + scraped + evaluated + pending; got > most {
			t.Errorf("%s: time from a shard's loss to its alert = %v, want at most %v", path, got, most)
		}
	}
}

// duration returns the duration that a pattern finds in text.
func duration(t *testing.T, text, pattern string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no match for %s", pattern)
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMetricsExist checks that the rules, the runbook and the dashboard use only metrics
// of docs/METRICS.md. Another test compares that list with the code.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(terse_[a-z0-9_]+)` \\|").FindAllStringSubmatch(read(t, "docs/METRICS.md"), -1) {
		known[m[1]] = true
	}
	for _, path := range []string{"deploy/prometheus/rules.yml", "deploy/RUNBOOK.md", "deploy/grafana/terse.json"} {
		names := metric.FindAllString(read(t, path), -1)
		if len(names) == 0 {
			t.Errorf("%s contains no metric", path)
		}
		for _, name := range names {
			if !known[name] && !known[suffix.ReplaceAllString(name, "")] {
				t.Errorf("%s contains %s, which docs/METRICS.md lacks", path, name)
			}
		}
	}
}

// TestRunbook checks that every alert links to its section of the runbook, and that every
// section has all parts.
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
			t.Errorf("the runbook has a section for %s, but there is no such alert", name)
		}
	}
}

// TestRunbookLinks checks that the targets of the runbook's links exist.
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

// pages are the alerts that page an operator. All other alerts are tickets.
var pages = []string{
	"TerseRedirectErrorsFast", "TerseRedirectSlowFast", "TerseCreateErrorsFast", "TerseNodesAway", "TerseShardWithoutPrimary", "TerseSplitBrain",
	"TerseShardMapRefused", "TerseDatabaseWritesFail", "TerseEditsUnseen", "TersePurgesLate",
	"TerseCertificateEnds",
}

// condition makes an alert fire and then clear. Moments are separated by spaces. Among the
// quiet moments are two special ones: the value has been just below the threshold for
// longer than the alert waits, and the alert has not yet waited for long enough.
type condition struct {
	interval     string // of the samples; default 1m
	step         string // between two evaluations of the rules; default 1m
	series       map[string]string
	quiet, fires string // default of quiet: 0m
	clears       string
	labels       map[string]string // beside alertname and severity
}

// span is a time with one value of a gauge, or one growth per sample of a counter.
type span struct {
	samples int
	value   float64
}

// levels returns the samples of a gauge.
func levels(spans ...span) string {
	values := make([]string, len(spans))
	for i, s := range spans {
		values[i] = fmt.Sprintf("%gx%d", s.value, s.samples-1)
	}
	return strings.Join(values, " ")
}

// counts returns the samples of a counter that starts at 0.
func counts(spans ...span) string {
	var values []string
	sum := 0.0
	for _, s := range spans {
		values = append(values, fmt.Sprintf("%g+%gx%d", sum+s.value, s.value, s.samples-1))
		sum += float64(s.samples) * s.value
	}
	return strings.Join(values, " ")
}

// once is a counter that grows once, after 5 minutes.
var once = counts(span{5, 0}, span{1, 3}, span{60, 0})

// phase is a time with one rate of failures.
type phase struct {
	samples int
	tenths  int // failure rate, in tenths of the rate that uses up the budget in a month
	traffic int // traffic as a multiple of the usual traffic; 0 means 1
}

// grow returns the samples of a counter that grows by each(p) per sample of phase p.
func grow(phases []phase, each func(p phase) int) string {
	var values []string
	sum := 0
	for _, p := range phases {
		values = append(values, fmt.Sprintf("%d+%dx%d", sum, each(p), p.samples-1))
		sum += p.samples * each(p)
	}
	return strings.Join(values, " ")
}

// failing returns a function that makes the series of calls. Successful calls have the
// labels good, failed calls the labels bad. One in budget calls may fail.
func failing(budget int, good, bad string) func(phases []phase) map[string]string {
	return func(phases []phase) map[string]string {
		return map[string]string{
			`terse_http_requests_total{` + good + `}`: grow(phases, func(p phase) int { return 10*budget*max(1, p.traffic) - p.tenths }),
			`terse_http_requests_total{` + bad + `}`:  grow(phases, func(p phase) int { return p.tenths }),
		}
	}
}

// slow returns the series of redirects. One in a hundred redirects may be slow.
func slow(phases []phase) map[string]string {
	const redirects = `terse_http_request_duration_seconds`
	return map[string]string{
		redirects + `_count{route="/:code", method="GET"}`:              grow(phases, func(p phase) int { return 1000 * max(1, p.traffic) }),
		redirects + `_bucket{route="/:code", method="GET", le="0.025"}`: grow(phases, func(p phase) int { return 1000*max(1, p.traffic) - p.tenths }),
	}
}

// Failure rates for which only one pair of windows fires. Before that, the pair is quiet in
// three cases: both windows are just below their thresholds; only the short window is
// above, in a burst; only the long window is above, after the failures. The samples of the
// first two are a minute apart, the samples of the others five minutes.
var (
	burnsInAnHour = []phase{
		{samples: 361}, {samples: 10, tenths: 200}, {samples: 350}, {samples: 60, tenths: 135}, {samples: 60, tenths: 155}, {samples: 10, tenths: 100},
	}
	burnsInSixHours = []phase{
		{samples: 361}, {samples: 120, tenths: 70}, {samples: 360}, {samples: 360, tenths: 56}, {samples: 360, tenths: 64}, {samples: 30, tenths: 40},
	}
	burnsInADay = []phase{
		{samples: 576, traffic: 10},
		{samples: 228},
		{samples: 60, tenths: 40},
		{samples: 576, traffic: 10},
		{samples: 288, tenths: 28},
		{samples: 288, tenths: 32},
		{samples: 24, tenths: 20},
	}
	burnsInThree = []phase{
		{samples: 864}, {samples: 360, tenths: 15}, {samples: 864}, {samples: 864, tenths: 9}, {samples: 864, tenths: 11}, {samples: 72, tenths: 5},
	}
)

// windows returns one condition for each of an alert's two pairs of windows.
func windows(alert string, fast bool, series func(phases []phase) map[string]string) map[string]condition {
	if fast {
		return map[string]condition{
			alert + ": an hour":   {step: "10m", series: series(burnsInAnHour), quiet: "370m 780m", fires: "840m", clears: "850m"},
			alert + ": six hours": {step: "10m", series: series(burnsInSixHours), quiet: "480m 1200m", fires: "1560m", clears: "1590m"},
		}
	}
	return map[string]condition{
		alert + ": a day":      {interval: "5m", step: "30m", series: series(burnsInADay), quiet: "71h30m 143h30m", fires: "167h30m", clears: "169h30m"},
		alert + ": three days": {interval: "5m", step: "30m", series: series(burnsInThree), quiet: "101h30m 245h30m", fires: "317h30m", clears: "323h30m"},
	}
}

// both returns the conditions of all alerts with two pairs of windows.
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

// conditions are the conditions of all other alerts, by alert name. When an alert has
// several conditions, a colon and a description follow the name.
var conditions = map[string]condition{
	"TerseNodesAway": {
		series: map[string]string{
			`up{job="terse", instance="a"}`: levels(span{5, 1}, span{10, 0}, span{10, 1}),
		},
		quiet: "4m 5m", fires: "6m", clears: "15m",
	},
	"TerseNodeDown": {
		series: map[string]string{
			`up{job="terse", instance="a"}`: levels(span{5, 1}, span{10, 0}, span{10, 1}),
		},
		quiet: "4m 6m", fires: "7m", clears: "15m",
		labels: map[string]string{"job": "terse", "instance": "a"},
	},
	"TerseNodeRestarts": {
		series: map[string]string{
			`process_start_time_seconds{job="terse", instance="a"}`: levels(span{5, 0}, span{1, 1}, span{1, 2}, span{10, 3}, span{60, 4}),
		},
		quiet: "16m", fires: "17m", clears: "40m",
		labels: map[string]string{"job": "terse", "instance": "a"},
	},
	"TerseNodeDescriptors": {
		series: map[string]string{
			`process_open_fds{job="terse", instance="a"}`: levels(span{10, 75}, span{10, 85}, span{10, 10}),
			`process_max_fds{job="terse", instance="a"}`:  levels(span{30, 100}),
		},
		quiet: "9m 14m", fires: "15m", clears: "20m",
		labels: map[string]string{"job": "terse", "instance": "a"},
	},
	"TerseShedding": {
		series: map[string]string{
			`terse_overload_requests_total{class="write", result="admitted", instance="a"}`: counts(span{120, 1000}),
			`terse_overload_requests_total{class="write", result="shed", instance="a"}`:     counts(span{15, 0}, span{15, 9}, span{15, 0}, span{10, 200}, span{15, 0}, span{20, 13}, span{30, 0}),
		},
		quiet: "29m 46m", fires: "47m 89m", clears: "69m 100m",
		labels: map[string]string{"class": "write"},
	},
	"TerseVisitorsLimited": {
		series: map[string]string{
			`terse_redirect_visits_total{result="live", instance="a"}`:    counts(span{180, 1000}),
			`terse_redirect_visits_total{result="limited", instance="a"}`: counts(span{20, 0}, span{20, 40}, span{20, 0}, span{10, 5000}, span{25, 0}, span{30, 60}, span{55, 0}),
		},
		quiet: "39m 64m", fires: "65m 124m", clears: "94m 150m",
	},
	"TerseConnectionsRefused": {
		series: map[string]string{
			`terse_http_connections_refused_total{instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "20m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseCertificateEnds": {
		series: map[string]string{
			`terse_certificate_remaining_ratio{instance="a"}`: levels(span{20, 0.26}, span{20, 0.24}, span{20, 0.9}),
		},
		quiet: "19m 34m", fires: "35m", clears: "40m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseCertificateMissing": {
		series: map[string]string{
			`terse_certificate_missing_seconds{instance="a"}`: levels(span{20, 3500}, span{20, 3660}, span{20, 0}),
		},
		quiet: "19m 21m", fires: "22m", clears: "40m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseNodeVersions": {
		series: map[string]string{
			`terse_build_info{version="1", instance="a"}`: levels(span{400, 1}),
			`terse_build_info{version="2", instance="b"}`: "_x180 1x139 stale",
		},
		quiet: "179m 299m", fires: "300m", clears: "330m",
	},
	"TerseLeaseLost": {
		series: map[string]string{
			`terse_idgen_node{instance="a"}`: levels(span{5, 7}, span{5, -1}, span{10, 9}),
		},
		quiet: "4m 5m", fires: "6m", clears: "10m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseClockBehind": {
		series: map[string]string{
			`terse_idgen_refused_total{reason="clock_behind", instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "20m",
		labels: map[string]string{"instance": "a", "reason": "clock_behind"},
	},
	"TerseShardWithoutPrimary": {
		interval: "15s", step: "15s",
		series: map[string]string{
			`terse_postgres_up{shard="s1", server="primary", instance="a"}`: levels(span{4, 1}, span{10, 0}, span{10, 1}),
			`terse_postgres_up{shard="s1", server="primary", instance="b"}`: levels(span{4, 1}, span{10, 0}, span{10, 1}),
			`terse_postgres_up{shard="s2", server="primary", instance="b"}`: levels(span{24, 1}),
		},
		quiet: "45s 60s", fires: "75s", clears: "210s",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseSplitBrain": {
		interval: "15s", step: "15s",
		series: map[string]string{
			`terse_postgres_writable_servers{shard="s1", instance="a"}`: levels(span{4, 1}, span{10, 2}, span{10, 1}),
			`terse_postgres_writable_servers{shard="s1", instance="b"}`: levels(span{24, 1}),
			`terse_postgres_writable_servers{shard="s2", instance="a"}`: levels(span{24, 1}),
		},
		quiet: "45s 60s", fires: "75s", clears: "210s",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseClockWrong: ahead": {
		series: map[string]string{
			`terse_postgres_clock_offset_seconds{shard="s1", instance="a"}`: levels(span{5, 0.9}, span{5, 1.1}, span{10, 0.9}),
			`terse_postgres_clock_offset_seconds{shard="s1", instance="b"}`: levels(span{20, 0}),
		},
		quiet: "4m 5m", fires: "6m", clears: "10m",
		labels: map[string]string{"shard": "s1", "instance": "a"},
	},
	"TerseClockWrong: behind": {
		series: map[string]string{
			`terse_postgres_clock_offset_seconds{shard="s1", instance="a"}`: levels(span{5, -0.9}, span{5, -1.1}, span{10, -0.9}),
		},
		quiet: "4m 5m", fires: "6m", clears: "10m",
		labels: map[string]string{"shard": "s1", "instance": "a"},
	},
	"TerseShardUnreachable": {
		series: map[string]string{
			`terse_postgres_up{shard="s1", server="primary", instance="a"}`: levels(span{5, 1}, span{10, 0}, span{10, 1}),
			`terse_postgres_up{shard="s1", server="primary", instance="b"}`: levels(span{25, 1}),
		},
		quiet: "4m 6m", fires: "7m", clears: "15m",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseReplicaDown": {
		series: map[string]string{
			`terse_postgres_up{shard="s1", server="replica-1", instance="a"}`: levels(span{5, 1}, span{10, 0}, span{10, 1}),
		},
		quiet: "4m 9m", fires: "10m", clears: "15m",
		labels: map[string]string{"shard": "s1", "server": "replica-1"},
	},
	"TerseReplicaLag": {
		series: map[string]string{
			`terse_postgres_replica_lag_seconds{shard="s1", server="replica-1", instance="a"}`: levels(span{10, 8}, span{10, 13}, span{10, 0}),
		},
		quiet: "9m 11m", fires: "12m", clears: "20m",
		labels: map[string]string{"shard": "s1", "server": "replica-1"},
	},
	"TersePostgresBreakerOpen": {
		series: map[string]string{
			`terse_postgres_breaker_open{shard="s1", server="primary", role="writes", instance="a"}`: levels(span{10, 0.4}, span{10, 0.7}, span{10, 0}),
		},
		quiet: "9m 11m", fires: "12m", clears: "22m",
		labels: map[string]string{"shard": "s1", "server": "primary", "role": "writes"},
	},
	"TerseConnectionsExhausted": {
		series: map[string]string{
			`terse_postgres_connections_used{shard="s1", server="primary", role="writes", instance="a"}`:              levels(span{30, 5}, span{50, 6}, span{20, 1}),
			`terse_postgres_connections_most{shard="s1", server="primary", role="writes", instance="a"}`:              levels(span{100, 6}),
			`terse_postgres_connection_wait_seconds_total{shard="s1", server="primary", role="writes", instance="a"}`: counts(span{30, 300}, span{20, 48}, span{50, 72}),
		},
		quiet: "29m 49m 61m", fires: "70m", clears: "81m",
		labels: map[string]string{"shard": "s1", "server": "primary", "role": "writes"},
	},
	"TerseShardMapRefused": {
		series: map[string]string{
			`terse_shard_map_refused{instance="a"}`: levels(span{5, 0}, span{10, 1}, span{10, 0}),
		},
		quiet: "4m 5m", fires: "6m", clears: "15m",
	},
	"TerseShardMapOld": {
		series: map[string]string{
			`terse_shard_map_read_timestamp_seconds{shard="s1", instance="a"}`: "-100+60x9 450+60x9 1200+60x9",
		},
		quiet: "9m 10m", fires: "11m", clears: "20m",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseMovedFailures": {
		series: map[string]string{
			`terse_shard_moved_failures_total{instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "30m",
	},
	"TerseDatabaseWritesFail": {
		series: map[string]string{
			`terse_sqlite_transaction_failures_total{instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "30m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseEditsUnseen": {
		series: map[string]string{
			`terse_outbox_oldest_age_seconds{shard="s1", audience="caches", instance="a"}`: levels(span{10, 25}, span{10, 40}, span{10, 0}),
		},
		quiet: "9m 10m", fires: "11m", clears: "20m",
		labels: map[string]string{"shard": "s1"},
	},
	"TersePurgesLate": {
		series: map[string]string{
			`terse_outbox_oldest_age_seconds{shard="s1", audience="cdn", instance="a"}`: levels(span{10, 50}, span{10, 80}, span{10, 0}),
		},
		quiet: "9m", fires: "10m", clears: "20m",
		labels: map[string]string{"shard": "s1"},
	},
	"TersePurgesFail": {
		series: map[string]string{
			`terse_cdn_purges_total{result="error", instance="a"}`: counts(span{5, 0}, span{20, 10}, span{30, 0}),
		},
		quiet: "4m 9m", fires: "10m", clears: "40m",
	},
	"TerseCacheStale": {
		series: map[string]string{
			`terse_cache_staleness_seconds_count{instance="a"}`:          counts(span{20, 6.04}, span{25, 6.06}, span{30, 6}),
			`terse_cache_staleness_seconds_bucket{le="1", instance="a"}`: counts(span{75, 6}),
			`terse_cache_staleness_unmeasured_total{instance="a"}`:       counts(span{75, 0}),
		},
		quiet: "19m 28m", fires: "40m", clears: "60m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseCacheStale: unmeasured": {
		series: map[string]string{
			`terse_cache_staleness_seconds_count{instance="a"}`:          counts(span{75, 6}),
			`terse_cache_staleness_seconds_bucket{le="1", instance="a"}`: counts(span{75, 6}),
			`terse_cache_staleness_unmeasured_total{instance="a"}`:       counts(span{20, 0.04}, span{25, 0.06}, span{30, 0}),
		},
		quiet: "19m 28m", fires: "40m", clears: "60m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseRedisBreakerOpen": {
		series: map[string]string{
			`terse_redis_breaker_open{instance="a"}`: levels(span{10, 0.4}, span{10, 0.7}, span{10, 0}),
		},
		quiet: "9m 10m", fires: "11m", clears: "22m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseRedisChannelDown": {
		series: map[string]string{
			`terse_redis_channel_up{instance="a"}`: "1x4 _ 0x9 1x10",
		},
		quiet: "4m 6m", fires: "7m", clears: "17m",
		labels: map[string]string{"instance": "a"},
	},
	"TerseLimitsUncounted": {
		series: map[string]string{
			`terse_ratelimit_uncounted_total{instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "30m",
	},
	"TerseClicksDropped": {
		series: map[string]string{
			`terse_clicks_dropped_total{shard="s1", reason="full", instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "30m",
		labels: map[string]string{"shard": "s1", "reason": "full"},
	},
	"TerseClicksUnsaved": {
		series: map[string]string{
			`terse_clicks_spool_failures_total{shard="s1", instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "30m",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseClicksPending": {
		series: map[string]string{
			`terse_clicks_pending{shard="s1", instance="a"}`:       levels(span{5, 0}, span{20, 9}, span{20, 0}),
			`terse_clicks_flushed_total{shard="s1", instance="a"}`: counts(span{5, 60}, span{20, 0}, span{20, 60}),
		},
		quiet: "4m 12m", fires: "14m", clears: "30m",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseClicksUnfolded": {
		series: map[string]string{
			`terse_clicks_oldest_batch_age_seconds{shard="s1", instance="a"}`: levels(span{10, 9}, span{10, 310}, span{10, 0}),
			`terse_clicks_oldest_batch_age_seconds{shard="s1", instance="b"}`: levels(span{10, 9}, span{10, 305}, span{10, 0}),
			`terse_clicks_oldest_batch_age_seconds{shard="s2", instance="a"}`: "290x30",
		},
		quiet: "9m 11m", fires: "13m", clears: "22m",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseClickRetentionFails": {
		series: map[string]string{
			`terse_clicks_sweep_failures_total{shard="s1", instance="a"}`: counts(span{10, 0}, span{20, 1}, span{120, 0}),
			`terse_clicks_sweep_failures_total{shard="s2", instance="a"}`: counts(span{10, 0}, span{3, 1}, span{120, 0}),
		},
		quiet: "9m 15m", fires: "25m", clears: "70m",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseBlocklistOld": {
		series: map[string]string{
			`terse_blocklist_failures_total{source="file", shard="", instance="a"}`: counts(span{5, 0}, span{30, 6}, span{30, 0}),
		},
		quiet: "4m 14m", fires: "15m", clears: "45m",
		labels: map[string]string{"source": "file"},
	},
	"TerseScanBehind": {
		series: map[string]string{
			`terse_scan_backlog_seconds{shard="s1", instance="a"}`:                   levels(span{20, 500}, span{20, 800}, span{20, 0}),
			`terse_scan_failures_total{scan="reputation", shard="s1", instance="a"}`: counts(span{60, 1}),
			`terse_scan_backlog_seconds{shard="s2", instance="a"}`:                   "900x60",
			`terse_scan_failures_total{scan="reputation", shard="s2", instance="a"}`: "9x60",
			`terse_scan_failures_total{scan="blocklist", shard="s2", instance="a"}`:  "0+1x60",
		},
		quiet: "19m 24m", fires: "25m", clears: "40m",
		labels: map[string]string{"shard": "s1"},
	},
	"TerseReportsLost": {
		series: map[string]string{
			`terse_reports_received_total{result="lost", instance="a"}`: once,
		},
		quiet: "4m", fires: "5m", clears: "30m",
	},
	"TerseReportsWaiting": {
		series: map[string]string{
			`terse_reports_open{shard="s1", instance="a"}`: levels(span{15, 900}, span{20, 1200}, span{10, 10}),
		},
		quiet: "14m 24m", fires: "25m", clears: "35m",
		labels: map[string]string{"shard": "s1"},
	},
}

// TestAlerts evaluates the rules with the series of each condition, by promtool.
func TestAlerts(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	all := alerts(t)
	shown := shownConditions()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		want := "ticket"
		if slices.Contains(pages, name) {
			want = "page"
		}
		if all[name].severity != want {
			t.Errorf("severity of %s = %s, want %s", name, all[name].severity, want)
		}
		if len(shown[name]) == 0 {
			t.Errorf("%s has no condition", name)
		}
	}
	var every []string
	for alert, names := range shown {
		if _, ok := all[alert]; !ok {
			t.Fatalf("condition for an unknown alert %s", alert)
		}
		every = append(every, names...)
	}
	slices.Sort(every)
	if out, err := evaluate(t, "rules.yml", every, all); err != nil {
		t.Errorf("promtool test rules: %v: %s", err, out)
	}
}

// shownConditions returns the names of the conditions of each alert.
func shownConditions() map[string][]string {
	shown := map[string][]string{}
	for name := range allConditions() {
		alert, _, _ := strings.Cut(name, ":")
		shown[alert] = append(shown[alert], name)
	}
	return shown
}

func allConditions() map[string]condition {
	all := both()
	maps.Copy(all, conditions)
	return all
}

// evaluate runs promtool test rules with the named conditions.
func evaluate(t *testing.T, rules string, names []string, all map[string]alert) (string, error) {
	t.Helper()
	rules, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	shown := allConditions()
	folder := t.TempDir()
	args := []string{"test", "rules"}
	for _, step := range []string{"15s", "1m", "10m", "30m"} { // longer steps for conditions of several days
		var tests []any
		for _, name := range names {
			if c := shown[name]; cmp.Or(c.step, "1m") == step {
				tests = append(tests, c.test(name, all))
			}
		}
		if len(tests) == 0 {
			continue
		}
		content, err := json.Marshal(map[string]any{
			"rule_files": []string{rules}, "evaluation_interval": step, "tests": tests,
			"group_eval_order": []string{"terse-slo", "terse-budgets"},
		})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, step+".yml") // JSON is YAML
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	return promtool(t, args...)
}

// test returns the condition in promtool's format.
func (c condition) test(name string, all map[string]alert) map[string]any {
	alert, _, _ := strings.Cut(name, ":")
	a := all[alert]
	labels := map[string]string{"severity": "ticket"}
	if slices.Contains(pages, alert) {
		labels["severity"] = "page"
	}
	maps.Copy(labels, c.labels)
	var series []map[string]string
	for _, key := range slices.Sorted(maps.Keys(c.series)) {
		series = append(series, map[string]string{"series": key, "values": c.series[key]})
	}
	var looks []any
	look := func(moments string, alerts ...any) {
		for at := range strings.FieldsSeq(moments) {
			looks = append(looks, map[string]any{"eval_time": at, "alertname": alert, "exp_alerts": alerts})
		}
	}
	look(cmp.Or(c.quiet, "0m"))
	look(c.fires, map[string]any{"exp_labels": labels, "exp_annotations": a.annotations})
	look(c.clears)
	return map[string]any{"name": name, "interval": cmp.Or(c.interval, "1m"), "input_series": series, "alert_rule_test": looks}
}
