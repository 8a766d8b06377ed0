package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// shardTest is a shard and a connection to its primary.
type shardTest struct {
	*postgres.Store
	t    *testing.T
	conn *pgx.Conn
}

func newShardTest(t *testing.T, c cluster) shardTest {
	t.Helper()
	database := c.database(t)
	conn, err := pgx.Connect(t.Context(), c.Primary().DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return shardTest{c.open(t, database, 0), t, conn}
}

func (s shardTest) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.conn.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s = %v", sql, err)
	}
}

// rows returns how many rows a code has in links.
func (s shardTest) rows(code string) (n int) {
	s.t.Helper()
	if err := s.conn.QueryRow(s.t.Context(), "SELECT count(*) FROM links WHERE code = $1", code).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func link(code string) store.Link {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return store.Link{Code: code, URL: "https://example.com/" + code, Owner: "key_1", Status: 302, CreatedAt: at, UpdatedAt: at}
}

func (s shardTest) create(code string) store.Link {
	s.t.Helper()
	l, err := s.Create(s.t.Context(), link(code))
	if err != nil {
		s.t.Fatalf("Create(%q) = %v, want nil", code, err)
	}
	return l
}

// writes are all kinds of writes to the bucket of a link.
func (s shardTest) writes(l store.Link) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"create": func(ctx context.Context) error {
			_, err := s.Create(ctx, link(neighbour(l.Code)))
			return err
		},
		"update": func(ctx context.Context) error {
			edited := l
			edited.URL = "https://example.org/"
			_, err := s.Update(ctx, edited)
			return err
		},
		"delete": func(ctx context.Context) error {
			_, err := s.Delete(ctx, l.Code, 0, l.CreatedAt)
			return err
		},
		"consume": func(ctx context.Context) error {
			_, err := s.Consume(ctx, l.Code, l.CreatedAt)
			return err
		},
	}
}

// neighbour returns another code in the same bucket.
func neighbour(code string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprintf("%s-%d", code, i); store.BucketOf(other) == store.BucketOf(code) {
			return other
		}
	}
}

// TestStaleNodeCannotWrite changes the owner of a bucket while a node has an old map: by
// its state, by its epoch, and by deleting its row. The database must reject every write,
// and the rows must show that.
func TestStaleNodeCannotWrite(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	for name, change := range map[string]string{
		"moved":        "UPDATE buckets SET state = 'moved', epoch = epoch + 1 WHERE bucket = $1",
		"other epoch":  "UPDATE buckets SET epoch = epoch + 2 WHERE bucket = $1",
		"not here":     "DELETE FROM buckets WHERE bucket = $1",
		"moved, as is": "UPDATE buckets SET state = 'moved' WHERE bucket = $1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShardTest(t, c)
			l := s.create("abc")
			s.create("other")
			bucket := store.BucketOf(l.Code)
			s.exec(change, bucket)
			for op, write := range s.writes(l) {
				if err := write(t.Context()); !errors.Is(err, store.ErrMoved) {
					t.Errorf("%s = %v, want %v", op, err, store.ErrMoved)
				}
			}
			reservation := store.Reservation{Owner: "o", Key: "k", Code: "c", CreatedAt: l.CreatedAt}
			s.exec(change, store.BucketOf("o\x00k"))
			if _, err := s.Reserve(t.Context(), reservation); !errors.Is(err, store.ErrMoved) {
				t.Errorf("Reserve() = %v, want %v", err, store.ErrMoved)
			}
			var untouched bool
			err := s.conn.QueryRow(t.Context(), `SELECT target = $2 AND version = 1 AND deleted_at IS NULL AND used_clicks IS NULL
				FROM links WHERE code = $1`, l.Code, l.URL).Scan(&untouched)
			if err != nil || !untouched {
				t.Errorf("row of %q untouched = %v, %v, want true", l.Code, untouched, err)
			}
			if n := s.rows(neighbour(l.Code)); n != 0 {
				t.Errorf("the bucket has %d rows of a new link, want none", n)
			}
			if _, err := s.Get(t.Context(), "other"); err != nil {
				t.Errorf("Get(%q) of another bucket = %v, want nil", "other", err)
			}
			s.create("another")
			if _, _, err := s.Buckets(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err = s.Create(t.Context(), link(neighbour(l.Code)))
			if stays := name == "other epoch"; stays != (err == nil) || !stays && !errors.Is(err, store.ErrMoved) {
				t.Errorf("Create() with the new map = %v, want success: %v", err, stays)
			}
		})
	}
}

// TestMissOfMovedBucket checks that a missing link in a bucket of another shard is not
// reported as unknown.
func TestMissOfMovedBucket(t *testing.T) {
	t.Parallel()
	s := newShardTest(t, newCluster(t, 0))
	if _, err := s.Resolve(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Resolve() = %v, want %v", err, store.ErrNotFound)
	}
	s.exec("UPDATE buckets SET state = 'moved'")
	if _, err := s.Resolve(t.Context(), "nothing"); !errors.Is(err, store.ErrMoved) {
		t.Errorf("Resolve() in a moved bucket = %v, want %v", err, store.ErrMoved)
	}
}

// TestWriteWaitsForMove sends a write while its bucket is being moved. The write must
// wait, and must then see the new owner, although it was sent before.
func TestWriteWaitsForMove(t *testing.T) {
	t.Parallel()
	s := newShardTest(t, newCluster(t, 0))
	s.create("first") // reads the map
	bucket := store.BucketOf("late")
	s.exec("BEGIN")
	s.exec("SELECT pg_advisory_xact_lock(1413829203, $1)", bucket)
	answer := make(chan error)
	go func() {
		_, err := s.Create(context.Background(), link("late"))
		answer <- err
	}()
	waiting := "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
	for n, deadline := 0, time.Now().Add(2*time.Minute); n == 0; time.Sleep(time.Millisecond) {
		if err := s.conn.QueryRow(t.Context(), waiting).Scan(&n); err != nil || time.Now().After(deadline) {
			t.Fatalf("no write waits for the bucket: %v", err)
		}
	}
	s.exec("UPDATE buckets SET state = 'moved', epoch = epoch + 1 WHERE bucket = $1", bucket)
	s.exec("COMMIT")
	if err := <-answer; !errors.Is(err, store.ErrMoved) {
		t.Errorf("Create() = %v, want %v", err, store.ErrMoved)
	}
	if n := s.rows("late"); n != 0 {
		t.Errorf("the moved bucket has %d rows of the link, want none", n)
	}
}

// TestWrongDatabases checks that a wrong database is rejected, that the error says what
// to do, and that the error is not an outage.
func TestWrongDatabases(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	for _, tt := range []struct{ name, change, want string }{
		{"another shard", "UPDATE shard SET name = 's2'", "it is shard s2, not s1"},
		{"old schema", "UPDATE schema_migrations SET version = 1", "run terse migrate up"},
		{"dirty schema", "UPDATE schema_migrations SET dirty = true", "is dirty"},
		{"no buckets", "DELETE FROM shard", "run terse migrate up"},
		{"no version", "DELETE FROM schema_migrations", "run terse migrate up"},
		{"no schema", "DROP TABLE schema_migrations", "run terse migrate up"},
	} {
		s := newShardTest(t, c)
		s.exec(tt.change)
		_, _, err := s.Buckets(t.Context())
		wantText(t, tt.name+": Buckets()", err, tt.want)
		if !errors.Is(err, postgres.ErrWrongShard) {
			t.Errorf("%s: Buckets() = %v, want %v", tt.name, err, postgres.ErrWrongShard)
		}
		if _, err := s.Create(t.Context(), link("abc")); err == nil || s.rows("abc") != 0 {
			t.Errorf("%s: Create() = %v and %d rows, want an error and 0 rows", tt.name, err, s.rows("abc"))
		}
	}
	s := newShardTest(t, c)
	s.exec("UPDATE schema_migrations SET version = version + 1")
	if _, _, err := s.Buckets(t.Context()); err != nil {
		t.Errorf("Buckets() with a newer schema = %v, want nil", err)
	}
}
