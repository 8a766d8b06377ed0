package fold_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/fold"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens an embedded database with one link and closes it when the test ends.
func openStore(t *testing.T) (*sqlite.Store, store.Link) {
	t.Helper()
	s := sqlitetest.Open(t)
	now := time.Now().UTC()
	l, err := s.Create(t.Context(), store.Link{
		Code: "link", URL: "https://example.com/", Owner: "owner", Tags: []string{"tag"}, Status: 302, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		t.Fatalf("Create() = %v, want nil", err)
	}
	return s, l
}

// startWorker starts a Worker over one store and closes it when the test ends.
func startWorker(t *testing.T, f store.ClickFolder, change func(*fold.Options)) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	opts := fold.Options{
		Folders: []fold.Named{{Name: "s1", Folder: f}}, Registerer: reg, Logger: slog.New(slog.DiscardHandler), Every: 10 * time.Millisecond,
	}
	change(&opts)
	w, err := fold.New(opts)
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	})
	return reg
}

// addClicks adds a batch with clicks of people at some quarter-hours of a day.
func addClicks(t *testing.T, s store.ClickSink, seq int64, code string, of int32, quarters ...int) {
	t.Helper()
	var d day.Day
	for _, q := range quarters {
		c := day.Click{Quarter: q, N: 1}
		c.Values[day.Class] = day.Person
		d.Add(c)
	}
	err := s.AddClicks(t.Context(), store.ClickBatch{
		Recorder: "recorder", Seq: seq,
		Counts: []store.ClickCount{{Code: code, N: int64(len(quarters)), Last: store.DayStart(of)}},
		Days:   []store.ClickDay{{Key: code, Day: of, Data: d.Append(nil)}},
	})
	if err != nil {
		t.Fatalf("AddClicks() = %v, want nil", err)
	}
}

// quartersOf returns the clicks of people of one day, by quarter-hour, or nil without a row.
func quartersOf(t *testing.T, s store.ClickDays, kind store.ClickKind, key string, of int32) map[int]int64 {
	t.Helper()
	rows, err := s.ListClickDays(t.Context(), kind, []string{key}, of, of+1)
	if err != nil || len(rows) == 0 {
		return nil
	}
	parsed, err := day.Parse(rows[0].Data)
	if err != nil {
		t.Fatalf("Parse() = %v, want nil", err)
	}
	found := map[int]int64{}
	for _, p := range parsed.Series() {
		if p.People > 0 {
			found[int(p.Quarter)] = p.People
		}
	}
	return found
}

func TestWorkerFolds(t *testing.T) {
	t.Parallel()
	s, l := openStore(t)
	reg := startWorker(t, s, func(o *fold.Options) { o.MaxBatches = 2 })
	today := store.DayOf(time.Now())
	for seq := range int64(7) {
		addClicks(t, s, seq+1, l.Code, today, 1, 2)
	}
	for kind, key := range map[store.ClickKind]string{
		store.ClickLink: l.Code, store.ClickOwner: l.Owner, store.ClickTag: store.ClickTagKey(l.Owner, "tag"),
		store.ClickDomain: store.ClickDomainKey(l.Owner, ""), store.ClickAll: "",
	} {
		testenv.Await(t, "all clicks are folded", func() bool {
			got := quartersOf(t, s, kind, key, today)
			return got[1] == 7 && got[2] == 7
		})
	}
	testenv.Await(t, "the metrics show it", func() bool {
		n, err := testutil.GatherAndCount(reg, "terse_clicks_batches_waiting")
		return err == nil && n == 1 && gauge(t, reg, "terse_clicks_batches_waiting") == 0 && gauge(t, reg, "terse_clicks_batches_folded_total") == 7
	})
}

// gauge returns the value of the only series of a metric.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return -1
}

// TestOldDaysHaveHours checks that a sweep leaves the hours of an old day, and that clicks which
// arrive later do not bring quarter-hours back.
func TestOldDaysHaveHours(t *testing.T) {
	t.Parallel()
	s, l := openStore(t)
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	old, recent := store.DayOf(now.AddDate(0, 0, -91))-31, store.DayOf(now.AddDate(0, 0, -80))
	startWorker(t, s, func(o *fold.Options) { o.Now = func() time.Time { return now } })
	addClicks(t, s, 1, l.Code, old, 5, 6)
	addClicks(t, s, 2, l.Code, recent, 5, 6)
	testenv.Await(t, "the old day has hours", func() bool { return quartersOf(t, s, store.ClickLink, l.Code, old)[4] == 2 })
	addClicks(t, s, 3, l.Code, old, 7, 9)
	testenv.Await(t, "late clicks have hours, too", func() bool {
		got := quartersOf(t, s, store.ClickLink, l.Code, old)
		return len(got) == 2 && got[4] == 3 && got[8] == 1
	})
	testenv.Await(t, "the recent day has quarter-hours", func() bool {
		got := quartersOf(t, s, store.ClickLink, l.Code, recent)
		return len(got) == 2 && got[5] == 1 && got[6] == 1
	})
}

// TestKeepDays checks that days end.
func TestKeepDays(t *testing.T) {
	t.Parallel()
	s, l := openStore(t)
	addClicks(t, s, 1, l.Code, store.DayOf(time.Now())-500, 1)
	addClicks(t, s, 2, l.Code, store.DayOf(time.Now()), 1)
	startWorker(t, s, func(o *fold.Options) { o.KeepDays = 400 })
	testenv.Await(t, "only the old day is gone", func() bool {
		rows, err := s.ListClickDays(t.Context(), store.ClickLink, []string{l.Code}, 0, store.MaxClickDay)
		b, waiting := s.ClickBacklog(t.Context())
		return err == nil && waiting == nil && b.Batches == 0 && len(rows) == 1
	})
}

// broken is a folder that fails at first.
type broken struct {
	store.ClickFolder
	failures atomic.Int64
}

func (b *broken) FoldClicks(ctx context.Context, limit int, merge store.ClickMerge) (int, error) {
	if b.failures.Add(1) <= 3 {
		return 0, errors.New("broken")
	}
	return b.ClickFolder.FoldClicks(ctx, limit, merge)
}

// slow is a folder that takes one batch at a time, as for batches of many bytes, and has old ones.
type slow struct{ store.ClickFolder }

func (s slow) FoldClicks(ctx context.Context, _ int, merge store.ClickMerge) (int, error) {
	return s.ClickFolder.FoldClicks(ctx, 1, merge)
}

func (s slow) ClickBacklog(ctx context.Context) (store.ClickBacklog, error) {
	b, err := s.ClickFolder.ClickBacklog(ctx)
	if b.Batches > 0 {
		b.Oldest = time.Hour
	}
	return b, err
}

// TestBacklogIsFoldedAtOnce checks that a worker does not pause while old batches wait.
func TestBacklogIsFoldedAtOnce(t *testing.T) {
	t.Parallel()
	s, l := openStore(t)
	today := store.DayOf(time.Now())
	for seq := range int64(30) {
		addClicks(t, s, seq+1, l.Code, today, 1)
	}
	startWorker(t, slow{s}, func(o *fold.Options) { o.Every = time.Minute })
	testenv.Await(t, "all clicks are folded", func() bool { return quartersOf(t, s, store.ClickLink, l.Code, today)[1] == 30 })
}

func TestWorkerContinuesAfterFailures(t *testing.T) {
	t.Parallel()
	s, l := openStore(t)
	today := store.DayOf(time.Now())
	addClicks(t, s, 1, l.Code, today, 1)
	reg := startWorker(t, &broken{ClickFolder: s}, func(*fold.Options) {})
	testenv.Await(t, "the clicks are folded", func() bool { return quartersOf(t, s, store.ClickLink, l.Code, today)[1] == 1 })
	if got := gauge(t, reg, "terse_clicks_fold_failures_total"); got != 3 {
		t.Errorf("terse_clicks_fold_failures_total = %v, want 3", got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := fold.New(fold.Options{Every: -1, MaxBatches: -1, Timeout: -1, DetailDays: -1, KeepDays: -1})
	if err == nil {
		t.Fatal("New() = nil, want an error")
	}
	if got, want := len(err.(interface{ Unwrap() []error }).Unwrap()), 8; got != want {
		t.Errorf("New() has %d problems, want %d: %v", got, want, err)
	}
}
