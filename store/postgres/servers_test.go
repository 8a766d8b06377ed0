package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// value returns the sum of a metric's samples with all the labels, written as name=value.
// For a histogram it returns the number of observations.
func value(t *testing.T, reg *prometheus.Registry, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var have []string
			for _, pair := range m.GetLabel() {
				have = append(have, pair.GetName()+"="+pair.GetValue())
			}
			carries := family.GetName() == name
			for _, label := range labels {
				carries = carries && strings.Contains(" "+strings.Join(have, " ")+" ", " "+label+" ")
			}
			if carries {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// connect opens a session to the primary for the test.
func connect(t *testing.T, c cluster, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.Primary().DSN(database))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// TestBreaker kills the only server and starts it again. Calls must fail at once while
// the server is down, and succeed soon after it is back.
func TestBreaker(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	reg := prometheus.NewRegistry()
	s := openStore(t, postgres.Options{Primary: c.DSN(c.database(t)), Registerer: reg})
	known, err := s.Create(t.Context(), link("known"))
	must(t, err)
	resolves(t, s, known)
	must(t, c.Primary().Kill())
	open := func() float64 { return value(t, reg, "terse_postgres_breaker_open", "role=redirects") }
	eventually(t, "breaker opens", func() error {
		if _, err := s.Resolve(t.Context(), known.Code); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Resolve() without a server = %v, want %v", err, store.ErrUnavailable)
		}
		if open() != 1 {
			return errors.New("breaker is closed")
		}
		return nil
	})
	failures := func() float64 { return value(t, reg, "terse_postgres_failures_total") }
	began, before := time.Now(), failures()
	for range 20 {
		if _, err := s.Resolve(t.Context(), known.Code); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Resolve() with an open breaker = %v, want %v", err, store.ErrUnavailable)
		}
	}
	// One call tries the server after each pause of at least 350 ms.
	if tried, most := failures()-before, 1+time.Since(began)/(350*time.Millisecond); tried > float64(most) {
		t.Errorf("%v of 20 calls with an open breaker reached the server, want at most %d", tried, most)
	}
	must(t, c.Primary().Start(t.Context()))
	eventually(t, "resolve", func() error {
		_, err := s.Resolve(t.Context(), known.Code)
		return err
	})
	if got := open(); got != 0 {
		t.Errorf("terse_postgres_breaker_open = %v after a successful call, want 0", got)
	}
}

// TestReadAfterRestart restarts the only server while connections are idle. Reads on the
// broken connections must be retried.
func TestReadAfterRestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	s := openStore(t, postgres.Options{Primary: c.DSN(c.database(t)), ProbeEvery: time.Hour, MaxLag: 3 * time.Hour, ReadTimeout: patient, CallTimeout: patient})
	known, err := s.Create(t.Context(), link("known"))
	must(t, err)
	for what, read := range map[string]func() error{
		"Resolve":   func() error { _, err := s.Resolve(t.Context(), known.Code); return err },
		"Get":       func() error { _, err := s.Get(t.Context(), known.Code); return err },
		"List":      func() error { _, err := s.List(t.Context(), store.Query{Owner: known.Owner}); return err },
		"List keys": func() error { _, err := s.ListKeys(t.Context()); return err },
	} {
		must(t, read())
		must(t, c.Primary().Kill())
		must(t, c.Primary().Start(t.Context()))
		if err := read(); err != nil {
			t.Errorf("%s after a restart = %v, want nil", what, err)
		}
	}
}

// TestReadOnBrokenConnection closes the connections of each kind of read. The read must
// be retried on a new connection.
func TestReadOnBrokenConnection(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	s := openStore(t, postgres.Options{Primary: c.DSN(database), ProbeEvery: time.Hour, MaxLag: 3 * time.Hour})
	one := shardTest{s, t, connect(t, c, database)}
	known := one.create("known")
	key := store.Key{ID: "key_1", Name: "key", Prefix: "tk_1", Hash: sha256.Sum256([]byte("key")), CreatedAt: known.CreatedAt}
	must(t, s.CreateKey(t.Context(), key))
	for _, read := range []struct {
		name string
		call func(ctx context.Context) error
	}{
		{"Resolve", func(ctx context.Context) error { _, err := s.Resolve(ctx, known.Code); return err }},
		{"Get", func(ctx context.Context) error { _, err := s.Get(ctx, known.Code); return err }},
		{"List", func(ctx context.Context) error { _, err := s.List(ctx, store.Query{Owner: known.Owner}); return err }},
		{"List of a target", func(ctx context.Context) error {
			_, err := s.List(ctx, store.Query{Owner: known.Owner, Target: known.URL})
			return err
		}},
		{"Revisions", func(ctx context.Context) error { _, err := s.Revisions(ctx, known.Code, 0, 10); return err }},
		{"Changes", func(ctx context.Context) error { _, err := s.Changes(ctx, store.Cursor{}, 10); return err }},
		{"Export", func(ctx context.Context) error { _, err := s.Export(ctx, "", 10); return err }},
		{"KeyByHash", func(ctx context.Context) error { _, err := s.KeyByHash(ctx, key.Hash); return err }},
		{"ListKeys", func(ctx context.Context) error { _, err := s.ListKeys(ctx); return err }},
		{"RevokeKey", func(ctx context.Context) error { _, err := s.RevokeKey(ctx, key.ID, known.CreatedAt); return err }},
		{"ListReports", func(ctx context.Context) error { _, err := s.ListReports(ctx, store.ReportQuery{}); return err }},
		{"OpenReports", func(ctx context.Context) error { _, err := s.OpenReports(ctx); return err }},
		{"BlockedHosts", func(ctx context.Context) error { _, err := s.BlockedHosts(ctx, "", 10); return err }},
		{"BlocklistVersion", func(ctx context.Context) error { _, err := s.BlocklistVersion(ctx); return err }},
		{"ListDomains", func(ctx context.Context) error { _, err := s.ListDomains(ctx, "", 10); return err }},
		{"ListHosts", func(ctx context.Context) error { _, err := s.ListHosts(ctx, "", 10); return err }},
		{"HostsOf", func(ctx context.Context) error { _, err := s.HostsOf(ctx, "domain"); return err }},
		{"DomainsVersion", func(ctx context.Context) error { _, err := s.DomainsVersion(ctx); return err }},
		{"ListClickDays", func(ctx context.Context) error {
			_, err := s.ListClickDays(ctx, store.ClickLink, []string{known.Code}, 0, store.MaxClickDay)
			return err
		}},
		{"ClickBacklog", func(ctx context.Context) error { _, err := s.ClickBacklog(ctx); return err }},
		{"Backlog", func(ctx context.Context) error { _, err := s.Backlog(ctx, store.Caches); return err }},
		{"Buckets", func(ctx context.Context) error { _, _, err := s.Buckets(ctx); return err }},
	} {
		if err := read.call(t.Context()); err != nil {
			t.Errorf("%s = %v, want nil", read.name, err)
		}
		one.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err := read.call(t.Context()); err != nil {
			t.Errorf("%s on a broken connection = %v, want nil", read.name, err)
		}
	}
}

// TestRolesAreApart makes calls of the API wait for a lock on all their connections.
// Redirects must not be affected.
func TestRolesAreApart(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	reg := prometheus.NewRegistry()
	s := shardTest{openStore(t, postgres.Options{Primary: c.DSN(database), CallTimeout: 3 * time.Second, Registerer: reg}), t, connect(t, c, database)}
	known := s.create("known")
	s.exec("BEGIN")
	s.exec("SELECT pg_advisory_xact_lock(1413829203, $1)", store.BucketOf(known.Code))
	var writers sync.WaitGroup
	for range 20 {
		writers.Go(func() {
			if _, err := s.Delete(t.Context(), known.Code, 9, known.CreatedAt); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Delete() of a link in a locked bucket = %v, want %v", err, store.ErrUnavailable)
			}
		})
	}
	eventually(t, "breaker of the API opens", func() error {
		resolves(t, s.Store, known)
		if value(t, reg, "terse_postgres_failures_total") < 3 {
			return errors.New("no failures yet")
		}
		return nil
	})
	writers.Wait()
	for range 100 {
		resolves(t, s.Store, known)
	}
	s.exec("ROLLBACK")
	eventually(t, "delete", func() error {
		_, err := s.Delete(t.Context(), known.Code, 1, known.CreatedAt)
		return err
	})
}

// TestListsAreApart makes lists wait for a lock on all their connections. Creates and
// edits must not be affected.
func TestListsAreApart(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	s := shardTest{openStore(t, postgres.Options{Primary: c.DSN(database)}), t, connect(t, c, database)}
	known := s.create("known")
	s.exec("BEGIN")
	s.exec("LOCK TABLE link_tags IN ACCESS EXCLUSIVE MODE")
	var readers sync.WaitGroup
	var read atomic.Int32
	for range 16 {
		readers.Go(func() {
			if _, err := s.List(t.Context(), store.Query{Owner: known.Owner, Tag: "tag"}); err != nil {
				t.Errorf("List() that waited for a lock = %v, want nil", err)
			}
			read.Add(1)
		})
	}
	eventually(t, "lists take all of their connections", func() (err error) {
		var waiting int
		err = s.conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'link_tags'::regclass").Scan(&waiting)
		if err == nil && waiting < 2 {
			err = fmt.Errorf("%d lists wait", waiting)
		}
		return err
	})
	for i := range 10 {
		l := s.create(fmt.Sprintf("new-%d", i))
		l.URL = "https://example.org/"
		if _, err := s.Update(t.Context(), l); err != nil {
			t.Errorf("Update(%q) during waiting lists = %v, want nil", l.Code, err)
		}
		if _, err := s.List(t.Context(), store.Query{Owner: l.Owner, Target: l.URL}); err != nil {
			t.Errorf("List() of a target during waiting lists = %v, want nil", err)
		}
	}
	if n := read.Load(); n > 0 {
		t.Errorf("%d lists finished during the lock", n)
	}
	s.exec("ROLLBACK")
	readers.Wait()
}

// TestImpatientCallers has callers leave during a read. They must get the error of their
// own context, and the server must not count as failed.
func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	reg := prometheus.NewRegistry()
	s := shardTest{openStore(t, postgres.Options{Primary: c.DSN(database), Registerer: reg}), t, connect(t, c, database)}
	s.create("known")
	s.exec("BEGIN")
	s.exec("LOCK TABLE click_totals IN ACCESS EXCLUSIVE MODE")
	for i := range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := s.Get(ctx, "known"); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Get() %d of a caller that left = %v, want %v", i, err, context.Canceled)
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, "known"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get() of a caller out of time = %v, want %v", err, context.DeadlineExceeded)
	}
	s.exec("ROLLBACK")
	if _, err := s.Get(t.Context(), "known"); err != nil {
		t.Errorf("Get() = %v, want nil", err)
	}
	for _, name := range []string{"terse_postgres_breaker_open", "terse_postgres_resets_total"} {
		if got := value(t, reg, name); got != 0 {
			t.Errorf("%s = %v, want 0", name, got)
		}
	}
}

// TestStatus reads the status of a shard with usable, lagging, wrongly listed and
// unreachable servers.
func TestStatus(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	database, replica := c.database(t), c.Replicas()[0]
	s := openStore(t, postgres.Options{
		Primary: c.DSN(database), Replicas: []string{replica.DSN(database), c.Primary().DSN(database), "postgres://127.0.0.1:1/none"},
	})
	status := s.Status(t.Context())
	if status.Err != nil || status.Name != shard || status.Buckets != store.Buckets || status.SchemaVersion < 1 || status.Dirty || status.MapVersion < 1 {
		t.Errorf("Status() = %+v, want shard %s with all buckets and no error", status, shard)
	}
	for i, want := range []struct {
		name               string
		usable, inRecovery bool
		problem            string
	}{
		{"primary", true, false, ""},
		{"replica-1", true, true, ""},
		{"replica-2", false, false, "it is no replica"},
		{"replica-3", false, false, "connect"},
	} {
		got := status.Servers[i]
		if got.Name != want.name || got.Usable != want.usable || got.InRecovery != want.inRecovery || (got.Err == nil) != (want.problem == "") {
			t.Errorf("Status().Servers[%d] = %+v, want %+v", i, got, want)
		}
		if want.problem != "" {
			wantText(t, "Err of "+want.name, got.Err, want.problem)
		}
	}
	must(t, replica.PauseReplay(t.Context()))
	_, err := s.Create(t.Context(), link("abc"))
	must(t, err)
	eventually(t, "status shows the lag", func() error {
		if got := s.Status(t.Context()).Servers[1]; !got.Lag.Known || got.Lag.Bytes == 0 || got.Usable {
			return fmt.Errorf("Servers[1] = %+v", got)
		}
		return nil
	})
	must(t, replica.ResumeReplay(t.Context()))
	must(t, c.Primary().Kill())
	status = s.Status(t.Context())
	if got := status.Servers[1]; status.Err == nil || got.Err != nil || got.Lag.Known {
		t.Errorf("Status() without a primary = %+v, want an error and a replica with an unknown lag", status)
	}
}

// TestMetrics checks that the input of callers makes no new series, and that two shards
// can share a registerer.
func TestMetrics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	reg := prometheus.NewRegistry()
	s := openStore(t, postgres.Options{
		Primary: c.DSN(database), Replicas: []string{c.Replicas()[0].DSN(database)}, Registerer: reg, ReadTimeout: patient, CallTimeout: patient,
	})
	other, err := postgres.Open(t.Context(), postgres.Options{
		Name: "s2", Primary: c.DSN(database), SchemaVersion: 1, Logger: slog.New(slog.DiscardHandler), Registerer: reg,
	})
	must(t, err)
	defer func() { must(t, other.Close()) }()
	series := func() (n int) {
		families, err := reg.Gather()
		must(t, err)
		for _, family := range families {
			n += len(family.GetMetric())
		}
		return n
	}
	before := series()
	for i := range 50 {
		code := fmt.Sprintf("hostile-%d", i)
		if _, err := s.Resolve(t.Context(), code); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Resolve(%q) = %v, want %v", code, err, store.ErrNotFound)
		}
		if _, err := s.Create(t.Context(), link(code)); err != nil {
			t.Errorf("Create(%q) = %v, want nil", code, err)
		}
	}
	if after := series(); after != before {
		t.Errorf("%d series after hostile calls, want %d, as before", after, before)
	}
	eventually(t, "replica is up", func() error {
		if value(t, reg, "terse_postgres_up", "server=replica-1", "shard=s1") != 1 {
			return errors.New("terse_postgres_up is 0")
		}
		return nil
	})
}

// TestCommitsHang checks a primary with hanging commits. Reads and lists must succeed.
// Writes must fail within CallTimeout, and at once after the breaker has opened.
// Successful reads must not close the breaker of writes. Writes must succeed again when
// commits do.
func TestCommitsHang(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const timeout = 2 * time.Second
	c := newCluster(t, 0)
	database := c.database(t)
	reg := prometheus.NewRegistry()
	s := shardTest{openStore(t, postgres.Options{
		Primary: c.DSN(database), CallTimeout: timeout, ProbeEvery: 20 * time.Millisecond, Registerer: reg,
	}), t, connect(t, c, database)}
	const later = 100
	links := make([]store.Link, 3+later) // each link is edited once, because a hanging edit keeps its lock
	for i := range links {
		links[i] = s.create(fmt.Sprintf("known-%d", i))
	}
	must(t, c.Primary().HangCommits(t.Context(), true))
	t.Cleanup(func() { _ = c.Primary().HangCommits(context.WithoutCancel(t.Context()), false) })
	failures := func() float64 { return value(t, reg, "terse_postgres_failures_total") }
	update := func(l store.Link) {
		if _, err := s.Update(t.Context(), l); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Update() while commits hang = %v, want %v", err, store.ErrUnavailable)
		}
	}
	read := func() {
		t.Helper()
		if _, err := s.Get(t.Context(), links[0].Code); err != nil {
			t.Errorf("Get() while commits hang = %v, want nil", err)
		}
		if _, err := s.List(t.Context(), store.Query{Owner: links[0].Owner, Limit: 1}); err != nil {
			t.Errorf("List() while commits hang = %v, want nil", err)
		}
	}
	var first sync.WaitGroup
	for _, l := range links[:3] {
		first.Go(func() { update(l) })
	}
	for range 20 {
		read()
	}
	first.Wait()
	if open := value(t, reg, "terse_postgres_breaker_open", "role=writes"); open != 1 || failures() != 3 {
		t.Errorf("terse_postgres_breaker_open of writes = %v after %v of three writes hung, want 1", open, failures())
	}
	// One write at a time tests the primary, and no other write reaches it.
	began, before := time.Now(), failures()
	var all sync.WaitGroup
	for _, l := range links[3:] {
		read()
		all.Go(func() { update(l) })
		time.Sleep(10 * time.Millisecond)
	}
	all.Wait()
	if tried, most := failures()-before, 1+time.Since(began)/timeout; tried > float64(most) {
		t.Errorf("%v of %d writes waited for a hanging commit, want at most %d", tried, later, most)
	}
	must(t, c.Primary().HangCommits(t.Context(), false))
	eventually(t, "an update", func() error {
		now, err := s.Get(t.Context(), links[0].Code)
		if err == nil {
			_, err = s.Update(t.Context(), now)
		}
		return err
	})
}
