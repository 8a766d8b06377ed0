package sqlite_test

import (
	"log/slog"
	"maps"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
	"github.com/terse/terse/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		os.Exit(1) // the parent should have killed it
	}
	goleak.VerifyTestMain(m)
}

// open opens the database in dir and closes it when the test ends. change may change the
// options.
func open(tb testing.TB, dir string, change ...func(*sqlite.Options)) *sqlite.Store {
	tb.Helper()
	s, err := tryOpen(tb, dir, change...)
	if err != nil {
		tb.Fatalf("Open() = %v, want nil", err)
	}
	tb.Cleanup(func() { closeStore(tb, s) })
	return s
}

func tryOpen(tb testing.TB, dir string, change ...func(*sqlite.Options)) (*sqlite.Store, error) {
	tb.Helper()
	opts := sqlite.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
	for _, change := range change {
		change(&opts)
	}
	return sqlite.Open(tb.Context(), opts)
}

// serve is a change of options that locks the folder.
func serve(o *sqlite.Options) { o.Serve = true }

func closeStore(tb testing.TB, s *sqlite.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Errorf("Close() = %v, want nil", err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Options{
		Open: func(tb testing.TB) store.Store { return sqlitetest.Open(tb, serve) },
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	storetest.RunKeys(t, func(tb testing.TB) store.Keys { return sqlitetest.Open(tb) })
}

func TestHistory(t *testing.T) {
	t.Parallel()
	storetest.RunHistory(t, func(tb testing.TB) storetest.HistoryStore { return sqlitetest.Open(tb) })
}

func TestTags(t *testing.T) {
	t.Parallel()
	storetest.RunTags(t, func(tb testing.TB) storetest.TagStore { return sqlitetest.Open(tb) })
}

func TestBlocklist(t *testing.T) {
	t.Parallel()
	storetest.RunBlocklistSource(t, func(tb testing.TB) store.BlocklistSource { return sqlitetest.Open(tb) })
}

func TestDomains(t *testing.T) {
	t.Parallel()
	storetest.RunDomainsSource(t, func(tb testing.TB) store.DomainsSource { return sqlitetest.Open(tb) })
}

func TestReports(t *testing.T) {
	t.Parallel()
	storetest.RunReports(t, func(tb testing.TB) store.Reports { return sqlitetest.Open(tb) })
}

func TestScanned(t *testing.T) {
	t.Parallel()
	storetest.RunScanned(t, func(tb testing.TB) storetest.ScannedStore { return sqlitetest.Open(tb) })
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	storetest.RunOutbox(t, storetest.OutboxOptions{Open: func(tb testing.TB) (store.Store, store.Outbox) {
		s := sqlitetest.Open(tb)
		return s, s
	}})
}

func TestDomainEdits(t *testing.T) {
	t.Parallel()
	storetest.RunDomainEdits(t, func(tb testing.TB) storetest.DomainsOutbox { return sqlitetest.Open(tb) })
}

func TestArchive(t *testing.T) {
	t.Parallel()
	storetest.RunArchive(t, func(tb testing.TB) (store.Store, store.Archive) {
		s := sqlitetest.Open(tb)
		return s, s
	})
}

func TestClicks(t *testing.T) {
	t.Parallel()
	storetest.RunClicks(t, func(tb testing.TB) (store.Store, store.ClickSink) {
		s := sqlitetest.Open(tb)
		return s, s
	})
}

func TestClickDays(t *testing.T) {
	t.Parallel()
	storetest.RunClickDays(t, func(tb testing.TB) (storetest.ClickDaysStore, []store.ClickFolder) {
		s := sqlitetest.Open(tb)
		return s, []store.ClickFolder{s}
	})
}

func TestClickLedger(t *testing.T) {
	t.Parallel()
	storetest.RunClickLedger(t, func(tb testing.TB) store.ClickLedger { return sqlitetest.Open(tb) })
}

// TestRecordersAreForgotten checks that a recorder is forgotten after a week without a batch,
// unless it is kept for ever.
func TestRecordersAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Serve: true, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	defer func() { _ = s.Close() }()
	add := func(b store.ClickBatch) {
		t.Helper()
		if err := s.AddClicks(t.Context(), b); err != nil {
			t.Errorf("AddClicks(%+v) = %v, want nil", b, err)
		}
	}
	add(store.ClickBatch{Recorder: "node", Seq: 1})
	add(store.ClickBatch{Recorder: "log", Seq: 1, Keep: true})
	now = now.Add(10 * 365 * 24 * time.Hour)
	add(store.ClickBatch{Recorder: "other", Seq: 1})
	got, err := s.ClickSequences(t.Context(), []string{"node", "log", "other"})
	if want := map[string]int64{"log": 1, "other": 1}; err != nil || !maps.Equal(got, want) {
		t.Errorf("ClickSequences() = %v, %v, want %v", got, err, want)
	}
}

func TestDurable(t *testing.T) {
	t.Parallel()
	storetest.RunDurable(t, func(tb testing.TB) (store.Store, func() store.Store) {
		dir := tb.TempDir()
		s, err := tryOpen(tb, dir, serve)
		if err != nil {
			tb.Fatalf("Open() = %v, want nil", err)
		}
		return s, func() store.Store {
			closeStore(tb, s)
			return open(tb, dir, serve)
		}
	})
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	storetest.RunCertificates(t, func(tb testing.TB) store.Certificates { return sqlitetest.Open(tb) })
}
