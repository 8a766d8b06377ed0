package reports_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/terse/terse/abuse/reports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shard is a shard with open reports.
type shard struct {
	open atomic.Int64 // failing and hanging are faults
}

const (
	failing = -1 // OpenReports returns an error
	hanging = -2 // OpenReports returns when its context ends
)

func (s *shard) OpenReports(ctx context.Context) (int, error) {
	switch n := s.open.Load(); n {
	case failing:
		return 0, errors.New("the database is unreachable")
	case hanging:
		<-ctx.Done()
		return 0, ctx.Err()
	default:
		return int(n), nil
	}
}

// run runs a Gauge over the shards until the test ends.
func run(t *testing.T, every time.Duration, shards ...*shard) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	opts := reports.Options{Registerer: reg, Every: every}
	for i, s := range shards {
		opts.Counters = append(opts.Counters, reports.Named{Name: "s" + string(rune('1'+i)), Counter: s})
	}
	g, err := reports.NewGauge(opts)
	if err != nil {
		t.Fatalf("NewGauge() = %v, want nil", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return reg
}

// wantOpen compares the metric with its samples.
func wantOpen(t *testing.T, reg *prometheus.Registry, samples string) {
	t.Helper()
	synctest.Wait()
	if samples != "" {
		samples = "# HELP terse_reports_open Reports of visitors that nobody has resolved yet, as they were last counted.\n" +
			"# TYPE terse_reports_open gauge\n" + samples
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(samples), "terse_reports_open"); err != nil {
		t.Error(err)
	}
}

func TestCountsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var one, two shard
		one.open.Store(3)
		reg := run(t, 0, &one, &two)
		wantOpen(t, reg, "terse_reports_open{shard=\"s1\"} 3\nterse_reports_open{shard=\"s2\"} 0\n")
		one.open.Store(1)
		two.open.Store(5)
		time.Sleep(reports.DefaultEvery * 8 / 10)
		wantOpen(t, reg, "terse_reports_open{shard=\"s1\"} 3\nterse_reports_open{shard=\"s2\"} 0\n")
		time.Sleep(reports.DefaultEvery * 4 / 10)
		wantOpen(t, reg, "terse_reports_open{shard=\"s1\"} 1\nterse_reports_open{shard=\"s2\"} 5\n")
	})
}

// TestUnreachableShard checks that a shard that does not answer keeps its last number, or has
// none, and that the other shards are still counted.
func TestUnreachableShard(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]int64{"an error": failing, "no answer": hanging} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var one, never, other shard
				one.open.Store(3)
				never.open.Store(fault)
				reg := run(t, time.Minute, &one, &never, &other)
				time.Sleep(reports.DefaultTimeout)
				wantOpen(t, reg, "terse_reports_open{shard=\"s1\"} 3\nterse_reports_open{shard=\"s3\"} 0\n")
				one.open.Store(fault)
				other.open.Store(7)
				time.Sleep(2 * time.Minute)
				wantOpen(t, reg, "terse_reports_open{shard=\"s1\"} 3\nterse_reports_open{shard=\"s3\"} 7\n")
			})
		})
	}
}

func TestNewGaugeReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := reports.NewGauge(reports.Options{Every: -1, Timeout: -1})
	want := strings.Join([]string{
		"reports: Options.Counters is required",
		"reports: Options.Registerer is required",
		"reports: Options.Every must be positive",
		"reports: Options.Timeout must be positive",
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("NewGauge() = %v, want %q", err, want)
	}
	reg := prometheus.NewRegistry()
	opts := reports.Options{Registerer: reg, Counters: []reports.Named{{Name: "s1", Counter: &shard{}}}}
	for _, want := range []string{"", "reports: register metrics: duplicate"} {
		if _, err := reports.NewGauge(opts); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("NewGauge() = %v, want %q", err, want)
		}
	}
}
