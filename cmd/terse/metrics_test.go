//go:build unix

package main

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/terse/terse/internal/testenv"
)

var updateReference = flag.Bool("update", false, "write docs/METRICS.md again from the metrics of real processes")

// page is the /metrics page of one process.
type page struct {
	with     string // the optional parts of the process
	text     string
	families map[string]*dto.MetricFamily
}

// metricPages returns the pages of several processes. Together they have every metric. Each
// process has created a link, redirected, and listed links.
func metricPages(t *testing.T) []page {
	t.Helper()
	serve := func(environ ...string) *node {
		return start(t, dataDir(t), append(environ, "TERSE_CODE_KEY=aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=")...)
	}
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	_, shards := testenv.NewShards(t, 1, testenv.ClusterOptions{Replicas: 1})
	terse(t, []string{"TERSE_SHARDS=" + shards}, "migrate", "up").want(t, "migrate up", 0)
	secure, _, _ := secureSettings(t)
	pages := []page{
		readPage(t, "", serve()),
		readPage(t, "Redis", serve("TERSE_REDIS_URL="+redis.URL())),
		readPage(t, "CDN", serve("TERSE_CDN=varnish", "TERSE_VARNISH_SECRET="+purgeSecret, "TERSE_VARNISH_URLS=http://127.0.0.1:1")),
		readPage(t, "Web Risk", serve("TERSE_WEBRISK_KEY=9f86d081884c", "TERSE_WEBRISK_URL=http://127.0.0.1:1")),
		readPage(t, "HTTPS", serve(secure...)),
		readPage(t, "country file", serve("TERSE_COUNTRY_FILE=../../clicks/country/testdata/GeoLite2-Country-Test.mmdb")),
		readPage(t, "shards", serve("TERSE_SHARDS="+shards)),
	}
	return pages
}

func readPage(t *testing.T, with string, p *node) page {
	t.Helper()
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	ask(t, c, http.MethodGet, p.url+"/"+code, "", "")
	for _, path := range []string{"/", "/no-such", "/" + code + "+", "/api/v1/links", "/a/b/c"} {
		response, err := c.Get(p.url + path)
		must(t, err)
		must(t, response.Body.Close())
	}
	status, text := p.admin.Ask(t.Context(), "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics = %d %s", status, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	must(t, err)
	return page{with, text, families}
}

// TestMetrics checks that the metrics of real processes follow the rules of Prometheus, and
// that docs/METRICS.md lists exactly these metrics.
func TestMetrics(t *testing.T) {
	t.Parallel()
	pages := metricPages(t)
	for _, p := range pages {
		problems, err := promlint.New(strings.NewReader(p.text)).Lint()
		must(t, err)
		for _, problem := range problems {
			t.Errorf("with %q: %s: %s", p.with, problem.Metric, problem.Text)
		}
		cmd := exec.Command("promtool", "check", "metrics")
		cmd.Stdin = strings.NewReader(p.text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("with %q: promtool check metrics (apt-get install prometheus, or brew install prometheus): %v: %s", p.with, err, out)
		}
	}
	wantReference(t, pages)
	requests := pages[0].families["terse_http_request_duration_seconds"].GetMetric()[0].GetHistogram()
	if !slices.ContainsFunc(requests.GetBucket(), func(b *dto.Bucket) bool { return b.GetUpperBound() == 0.025 }) {
		t.Error("no bucket of the request duration ends at the 25 ms of the objective")
	}
}

// wantReference compares the table of docs/METRICS.md with the pages.
func wantReference(t *testing.T, pages []page) {
	t.Helper()
	const file, head = "../../docs/METRICS.md", "| metric | type | labels | with | meaning |\n|---|---|---|---|---|\n"
	have, err := os.ReadFile(file)
	must(t, err)
	text, table, found := strings.Cut(string(have), head)
	if !found {
		t.Fatalf("%s has no table", file)
	}
	want := strings.Join(referenceRows(pages), "")
	switch {
	case table == want:
	case *updateReference:
		must(t, os.WriteFile(file, []byte(text+head+want), 0o600))
	default:
		has, wants := strings.SplitAfter(table, "\n"), strings.SplitAfter(want, "\n")
		for _, row := range wants {
			if !slices.Contains(has, row) {
				t.Errorf("%s lacks: %s", file, row)
			}
		}
		for _, row := range has {
			if !slices.Contains(wants, row) {
				t.Errorf("%s has a row that no process has: %s", file, row)
			}
		}
		t.Errorf("to update the file: go test ./cmd/terse -run TestMetrics -update")
	}
}

// referenceRows returns the rows of the table in order of their names. The column "with"
// names the optional part that a metric needs.
func referenceRows(pages []page) []string {
	rows := map[string]string{}
	for _, p := range pages {
		for name, family := range p.families {
			if strings.HasPrefix(name, "terse_") && rows[name] == "" {
				with := p.with
				if with == "" && pages[len(pages)-1].families[name] == nil {
					with = "embedded"
				}
				rows[name] = fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", name,
					strings.ToLower(family.GetType().String()), labelsOf(pages, name), with, family.GetHelp())
			}
		}
	}
	var sorted []string
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		sorted = append(sorted, rows[name])
	}
	return sorted
}

// labelsOf returns the labels of a metric. It lists the values of a label when they are the
// same in every installation.
func labelsOf(pages []page, name string) string {
	values := map[string][]string{}
	for _, p := range pages {
		for _, m := range p.families[name].GetMetric() {
			for _, l := range m.GetLabel() {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
	}
	var labels []string
	for _, label := range slices.Sorted(maps.Keys(values)) {
		text := "`" + label + "`"
		if !slices.Contains([]string{"goversion", "method", "route", "server", "shard", "status", "version"}, label) {
			slices.Sort(values[label])
			text += " " + strings.Join(slices.Compact(values[label]), ", ")
		}
		labels = append(labels, text)
	}
	return strings.Join(labels, "; ")
}
