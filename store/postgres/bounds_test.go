package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// statements records the statements sent to servers.
type statements struct {
	mu   sync.Mutex
	sent []string // each with its arguments
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.note(data.SQL, data.Args)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		s.note(q.SQL, q.Arguments)
	}
	return ctx
}

func (*statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (*statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (s *statements) note(sql string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, fmt.Sprint(sql, args))
}

// naming returns how many statements contain a code.
func (s *statements) naming(code string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sent := range s.sent {
		if strings.Contains(sent, code) {
			n++
		}
	}
	return n
}

// backends returns the number of connections of a role to a server.
func backends(t *testing.T, conn *pgx.Conn, role string) (n int) {
	t.Helper()
	must(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'terse ' || $1`, role).Scan(&n))
	return n
}

// TestDatabaseWorkIsCapped makes hundreds of callers of every kind wait for a lock. The
// shard must never run more statements at once than the pools have connections.
func TestDatabaseWorkIsCapped(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	s := openStore(t, postgres.Options{
		Primary: c.DSN(database), MaxBatch: 1, // each call has its own statement
		ReadTimeout: patient, CallTimeout: patient,
	})
	one := shardTest{s, t, connect(t, c, database)}
	for i := range 20 {
		one.create(fmt.Sprintf("known-%d", i))
	}
	one.exec("BEGIN")
	one.exec("LOCK TABLE links, click_totals, click_batches, outbox IN ACCESS EXCLUSIVE MODE")
	var callers sync.WaitGroup
	for i := range 200 {
		code := fmt.Sprintf("known-%d", i%20)
		for what, call := range map[string]func() error{
			"resolve": func() error { _, err := s.Resolve(t.Context(), code); return err },
			"get":     func() error { _, err := s.Get(t.Context(), code); return err },
			"create":  func() error { _, err := s.Create(t.Context(), link(fmt.Sprintf("new-%d", i))); return err },
			"update":  func() error { _, err := s.Update(t.Context(), link(code)); return err },
			"fold": func() error {
				_, err := s.FoldClicks(t.Context(), 10, func(context.Context, []store.ClickDay, store.ClickRows) ([]store.ClickDay, error) { return nil, nil })
				return err
			},
			"list": func() error { _, err := s.List(t.Context(), store.Query{Owner: "key_1", Limit: 10}); return err },
			"deliver": func() error {
				_, err := s.Deliver(t.Context(), store.Caches, 10, func(_ context.Context, edits []store.Edit) []error { return make([]error, len(edits)) })
				return err
			},
		} {
			callers.Go(func() {
				if err := call(); err != nil && !errors.Is(err, store.ErrVersion) && !errors.Is(err, store.ErrBusy) {
					t.Errorf("%s = %v, want nil", what, err)
				}
			})
		}
	}
	caps := map[string]int{"redirects": 2, "reads": 2, "writes": 6, "lists": 2, "clicks": 1, "control": 2, "outbox": 2, "folds": 1}
	watcher := connect(t, c, database) // a new session, because pg_stat_activity does not change within a transaction
	capped := func() (most bool) {
		most = true
		for role, n := range caps {
			got := backends(t, watcher, role)
			if got > n {
				t.Errorf("%d connections for %s, want at most %d", got, role, n)
			}
			most = most && (got == n || role == "clicks" || role == "control")
		}
		return most
	}
	eventually(t, "callers use all connections", func() error {
		if !capped() {
			return errors.New("they do not")
		}
		return nil
	})
	one.exec("ROLLBACK")
	callers.Wait()
	capped()
}

// TestQueuesDropWhatIsLate checks that a waiting call is never sent to the database after
// its caller has left, and that the number of waiting calls is limited.
func TestQueuesDropWhatIsLate(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	var told statements
	reg := prometheus.NewRegistry()
	s := openStore(t, postgres.Options{
		Primary: c.DSN(database), Tracer: &told, Registerer: reg, ReadTimeout: 20 * time.Second, CallTimeout: 20 * time.Second,
	})
	one := shardTest{s, t, connect(t, c, database)}
	one.create("known")
	one.exec("BEGIN")
	one.exec("LOCK TABLE links IN ACCESS EXCLUSIVE MODE")
	kinds := map[string]func(ctx context.Context, code string) error{
		"resolve": func(ctx context.Context, code string) error { _, err := s.Resolve(ctx, code); return err },
		"get":     func(ctx context.Context, code string) error { _, err := s.Get(ctx, code); return err },
		"create":  func(ctx context.Context, code string) error { _, err := s.Create(ctx, link(code)); return err },
	}
	var first sync.WaitGroup
	// These calls take all connections of their kind, and creates take both batches.
	// Later calls wait.
	firsts := map[string]int{"resolve": 5, "get": 2, "create": 64}
	for what, call := range kinds {
		for i := range firsts[what] {
			code := fmt.Sprintf("first-%s-%d", what, i)
			first.Go(func() {
				if err := call(t.Context(), code); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s(%q) = %v, want nil", what, code, err)
				}
			})
		}
	}
	watcher := connect(t, c, database)
	eventually(t, "the first of each kind are sent", func() error {
		if told.naming("first-resolve") == 0 || told.naming("first-create") < 2 || backends(t, watcher, "reads") < 2 {
			return errors.New("they are not")
		}
		return nil
	})
	var late sync.WaitGroup
	for what, call := range kinds {
		for i := range 100 {
			code := fmt.Sprintf("late-%s-%d", what, i)
			late.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if err := call(ctx, code); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s(%q) behind others = %v, want %v", what, code, err, context.DeadlineExceeded)
				}
			})
		}
	}
	late.Wait()
	crowd, leave := context.WithCancel(t.Context())
	const waiting = 4096
	refused := make(chan error, 2*waiting)
	var all sync.WaitGroup
	for i := range cap(refused) {
		all.Go(func() {
			if _, err := s.Resolve(crowd, fmt.Sprintf("crowd-%d", i)); errors.Is(err, store.ErrUnavailable) {
				refused <- err
			}
		})
	}
	eventually(t, "calls beyond the limit are rejected", func() error {
		n := value(t, reg, "terse_postgres_cold_reads_waiting")
		if n > waiting {
			t.Fatalf("%v calls wait, want at most %d", n, waiting)
		}
		if len(refused) < cap(refused)-waiting {
			return fmt.Errorf("%d rejected", len(refused))
		}
		return nil
	})
	leave()
	all.Wait()
	one.exec("ROLLBACK")
	first.Wait()
	resolves(t, s, link("first-create-0"))
	for what := range kinds {
		if told.naming("late-"+what) > 0 {
			t.Errorf("a late %s was sent to the database", what)
		}
	}
	if told.naming("crowd-") > 0 {
		t.Error("calls of callers that had left were sent to the database")
	}
	if n := one.rows("late-create-0"); n != 0 {
		t.Error("a late create was done")
	}
}
