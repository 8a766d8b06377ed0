package postgres_test

import (
	"context"
	"errors"
	"fmt"
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

// codesOn returns how many links on a server have a code with a prefix.
func codesOn(t *testing.T, p *testenv.Postgres, database, prefix string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.DSN(database))
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	must(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM links WHERE starts_with(code, $1)", prefix).Scan(&n))
	return n
}

// writable waits until the metric shows how many servers accept writes.
func writable(t *testing.T, reg *prometheus.Registry, want float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v writable servers", want), func() error {
		if got := value(t, reg, "terse_postgres_writable_servers"); got != want {
			return fmt.Errorf("terse_postgres_writable_servers = %v", got)
		}
		return nil
	})
}

// TestSplitBrain promotes a replica during writes, while the primary lives and is first
// in the URL. Once a node has seen both servers, it acknowledges no write on the primary
// with the lower timeline. A node that starts after that never writes there.
func TestSplitBrain(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	old, promoted := c.Primary(), c.Replicas()[0]
	reg := prometheus.NewRegistry()
	s := openStore(t, postgres.Options{Primary: c.DSN(database), Replicas: []string{promoted.DSN(database)}, Registerer: reg})
	edited, err := s.Create(t.Context(), link("edited"))
	must(t, err)
	must(t, c.WaitReplicas(t.Context()))
	writable(t, reg, 1)

	var seen atomic.Bool
	var writers sync.WaitGroup
	var acknowledged atomic.Int64 // acknowledged writes that began after both servers were seen
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				when := "before"
				if seen.Load() {
					when = "after"
				}
				_, err := s.Create(t.Context(), link(fmt.Sprintf("%s-%d-%d", when, w, i)))
				switch {
				case err == nil && when == "after":
					acknowledged.Add(1)
				case err != nil && !errors.Is(err, store.ErrUnavailable):
					t.Errorf("Create() = %v, want nil or %v", err, store.ErrUnavailable)
				}
			}
		})
	}
	must(t, promoted.Promote(t.Context()))
	writable(t, reg, 2)
	seen.Store(true)
	eventually(t, "writes are acknowledged", func() error {
		if acknowledged.Load() < 100 {
			return fmt.Errorf("%d acknowledged", acknowledged.Load())
		}
		return nil
	})
	edited.URL = "https://example.org/"
	edited, err = s.Update(t.Context(), edited)
	must(t, err)
	resolves(t, s, edited)
	close(stop)
	writers.Wait()
	if lost := codesOn(t, old, database, "after-"); lost != 0 {
		t.Errorf("%d links were written to the replaced primary after both servers were seen, want 0", lost)
	}
	if kept, want := codesOn(t, promoted, database, "after-"), acknowledged.Load(); int64(kept) < want {
		t.Errorf("the promoted server has %d links, want all %d acknowledged", kept, want)
	}

	fresh := openStore(t, postgres.Options{Primary: c.DSN(database)})
	for i := range 20 {
		code := fmt.Sprintf("fresh-%d", i)
		if _, err := fresh.Create(t.Context(), link(code)); err != nil {
			t.Errorf("Create(%q) on a new node = %v, want nil", code, err)
		}
	}
	if lost := codesOn(t, old, database, "fresh-"); lost != 0 {
		t.Errorf("a new node wrote %d links to the replaced primary, want 0", lost)
	}

	must(t, promoted.Stop())
	writable(t, reg, 1)
	for i := range 20 {
		if _, err := s.Create(t.Context(), link(fmt.Sprintf("alone-%d", i))); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Create() with the replaced primary alone = %v, want %v", err, store.ErrUnavailable)
		}
	}
	if lost := codesOn(t, old, database, "alone-"); lost != 0 {
		t.Errorf("%d links were written to the replaced primary while it was alone, want 0", lost)
	}
	must(t, promoted.Start(t.Context()))
	must(t, old.Stop())
	eventually(t, "create", func() error {
		_, err := s.Create(t.Context(), link("healed"))
		return err
	})
	writable(t, reg, 1)
}

// TestReplacedPrimaryOfOneHost promotes a replica that is not in the primary's URL. The
// node notices the promotion through the replica's own URL, and no longer writes to the
// primary.
func TestReplacedPrimaryOfOneHost(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	heir := c.Replicas()[0]
	reg := prometheus.NewRegistry()
	s := openStore(t, postgres.Options{Primary: c.Primary().DSN(database), Replicas: []string{heir.DSN(database)}, Registerer: reg})
	_, err := s.Create(t.Context(), link("before"))
	must(t, err)
	must(t, c.WaitReplicas(t.Context()))
	must(t, heir.Promote(t.Context()))
	writable(t, reg, 2)
	for i := range 20 {
		if _, err := s.Create(t.Context(), link(fmt.Sprintf("after-%d", i))); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Create() with a replaced primary = %v, want %v", err, store.ErrUnavailable)
		}
	}
	if lost := codesOn(t, c.Primary(), database, "after-"); lost != 0 {
		t.Errorf("the replaced primary has %d links written after both servers were seen, want 0", lost)
	}
	resolves(t, s, link("before"))
	eventually(t, "the primary to be refused", func() error {
		if err := s.Status(t.Context()).Servers[0].Err; err == nil || !strings.Contains(err.Error(), "it was replaced") {
			return fmt.Errorf("err = %w", err)
		}
		return nil
	})
	writable(t, reg, 2) // still, or the alert would end by itself
}

// TestOrdinaryRole opens a shard with a role that may only read and write its tables. Its
// servers must be usable.
func TestOrdinaryRole(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	one := shardTest{t: t, conn: connect(t, c, database)}
	one.exec("CREATE ROLE terse_app LOGIN")
	one.exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO terse_app")
	one.exec("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO terse_app")
	must(t, c.WaitReplicas(t.Context()))
	as := func(dsn string) string {
		_, rest, _ := strings.Cut(dsn, "@")
		return "postgres://terse_app@" + rest
	}
	s := openStore(t, postgres.Options{Primary: as(c.DSN(database)), Replicas: []string{as(c.Replicas()[0].DSN(database))}})
	usable(t, s, "primary", true)
	usable(t, s, "replica-1", true)
	_, err := s.Create(t.Context(), link("known"))
	must(t, err)
	if _, ok := s.Time(); !ok {
		t.Error("Time() = _, false, want the time of the database")
	}
}

// TestPostgresTime sets the clock of a node forwards and backwards. The node must know
// the database's time, except for a moment after each step.
func TestPostgresTime(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	var ahead atomic.Int64
	reg := prometheus.NewRegistry()
	s := openStore(t, postgres.Options{
		Primary: c.DSN(database), Replicas: []string{c.Replicas()[0].DSN(database)}, Registerer: reg,
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		ahead.Store(int64(skew))
		if now, ok := s.Time(); ok && time.Until(now).Abs() > 10*time.Minute {
			t.Errorf("Time() just after the clock was set by %v = %v, want unknown or the database's time", skew, now)
		}
		eventually(t, "the time is known", func() error {
			now, ok := s.Time()
			if off := time.Until(now).Abs(); ok && off > time.Minute {
				t.Errorf("Time() with a clock %v ahead differs by %v", skew, off)
			}
			if !ok {
				return errors.New("it is not")
			}
			return nil
		})
		eventually(t, "the metric shows the offset", func() error {
			if got := value(t, reg, "terse_postgres_clock_offset_seconds"); got < skew.Seconds()-60 || got > skew.Seconds()+60 {
				return fmt.Errorf("terse_postgres_clock_offset_seconds = %v", got)
			}
			return nil
		})
	}
	must(t, c.Primary().Kill())
	usable(t, s, "primary", false)
	if now, ok := s.Time(); !ok || time.Until(now).Abs() > time.Minute {
		t.Errorf("Time() without a primary = %v, %v, want the database's time", now, ok)
	}
	late := openStore(t, postgres.Options{Primary: c.Primary().DSN(database), Replicas: []string{c.Replicas()[0].DSN(database)}})
	eventually(t, "the time of a replica", func() error {
		if now, ok := late.Time(); !ok || time.Until(now).Abs() > time.Minute {
			return fmt.Errorf("Time() = %v, %v", now, ok)
		}
		return nil
	})
}

// TestReplicaTooOld stops the primary of a replica. A node with a MaxAge of an hour reads
// the replica, and a node with a MaxAge of two seconds stops reading it.
func TestReplicaTooOld(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	reg := prometheus.NewRegistry()
	opts := postgres.Options{Primary: c.DSN(database), Replicas: []string{c.Replicas()[0].DSN(database)}}
	patient := openStore(t, opts)
	opts.Registerer, opts.MaxAge = reg, 2*time.Second
	strict := openStore(t, opts)
	known, err := patient.Create(t.Context(), link("known"))
	must(t, err)
	must(t, c.WaitReplicas(t.Context()))
	for _, s := range []*postgres.Store{patient, strict} {
		usable(t, s, "replica-1", true)
	}
	must(t, c.Primary().Kill())
	eventually(t, "the replica is too old", func() error {
		got, err := strict.Resolve(t.Context(), known.Code)
		if err == nil {
			return fmt.Errorf("Resolve() = %q", got.URL)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Resolve() from a replica that is too old = %v, want %v", err, store.ErrUnavailable)
		}
		return nil
	})
	if got := value(t, reg, "terse_postgres_replica_age_seconds", "server=replica-1"); got < 1.5 {
		t.Errorf("terse_postgres_replica_age_seconds = %v while the replica is more than 2 s old", got)
	}
	resolves(t, patient, known)
	fresh := openStore(t, postgres.Options{Primary: opts.Primary, Replicas: opts.Replicas}) // this node has never reached the primary
	eventually(t, "a new node asks the replica", func() error {
		_, err := fresh.Resolve(t.Context(), known.Code)
		return err
	})
}

// TestLaggingReplicaIsNotRead edits a link in another process while the replica does not
// replay. Once the replica lags more than MaxLag, the edit must be read from the primary.
func TestLaggingReplicaIsNotRead(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	s := newShardTest(t, c)
	known := s.create("known")
	must(t, c.WaitReplicas(t.Context()))
	usable(t, s.Store, "replica-1", true)
	must(t, c.Replicas()[0].PauseReplay(t.Context()))
	s.exec("UPDATE links SET target = 'https://example.org/', version = version + 1 WHERE code = $1", known.Code)
	eventually(t, "the edit is read", func() error {
		got, err := s.Resolve(t.Context(), known.Code)
		if err == nil && got.Version != 2 {
			err = fmt.Errorf("version %d", got.Version)
		}
		return err
	})
	for range 20 {
		if got, err := s.Resolve(t.Context(), known.Code); err != nil || got.Version != 2 {
			t.Errorf("Resolve() with a lagging replica = version %d, %v, want version 2", got.Version, err)
		}
	}
}

// TestWriteDuringPromotion promotes a replica while a write waits on the primary. The
// write is committed on the replaced primary, so it must not be acknowledged.
func TestWriteDuringPromotion(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	reg := prometheus.NewRegistry()
	s := shardTest{openStore(t, postgres.Options{
		Primary: c.DSN(database), Replicas: []string{c.Replicas()[0].DSN(database)}, Registerer: reg, CallTimeout: 30 * time.Second,
	}), t, connect(t, c, database)}
	known := s.create("known")
	must(t, c.WaitReplicas(t.Context()))
	s.exec("BEGIN")
	s.exec("SELECT pg_advisory_xact_lock(1413829203, $1)", store.BucketOf(known.Code))
	done := make(chan error, 1)
	go func() {
		_, err := s.Delete(t.Context(), known.Code, known.Version, known.CreatedAt)
		done <- err
	}()
	eventually(t, "the write waits", func() (err error) {
		var waits bool
		err = s.conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&waits)
		if err == nil && !waits {
			err = errors.New("it does not")
		}
		return err
	})
	must(t, c.Replicas()[0].Promote(t.Context()))
	writable(t, reg, 2)
	s.exec("ROLLBACK")
	if err := <-done; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Delete() committed on the replaced primary = %v, want %v", err, store.ErrUnavailable)
	}
	resolves(t, s.Store, known)
}
