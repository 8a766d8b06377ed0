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

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

var epoch = time.Date(2026, time.March, 4, 5, 6, 7, 890_123_000, time.UTC)

func newLink(code string) store.Link {
	return store.Link{
		Code: code, URL: "https://example.com/", Owner: "owner", Status: 302, CreatedAt: epoch, UpdatedAt: epoch,
	}
}

// together locks the links table until fn has started n creates and some of them wait, so
// that the waiting creates share one batch. It returns their results.
func together(t *testing.T, s *postgres.Store, conn *pgx.Conn, n, waiting int, fn func(i int) (store.Link, error)) ([]store.Link, []error) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE links IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	links, errs := make([]store.Link, n), make([]error, n)
	var ended sync.WaitGroup
	for i := range n {
		ended.Go(func() { links[i], errs[i] = fn(i) })
		if i == 0 {
			await(t, "the first batch waits for the lock", func(ctx context.Context) (waits bool, err error) {
				err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
					WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))`).Scan(&waits)
				return waits, err
			})
		}
	}
	await(t, "creates wait for a batch", func(context.Context) (bool, error) { return s.CreatesWaiting() == waiting, nil })
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended.Wait()
	return links, errs
}

// await waits until a condition is true. It fails the test after a timeout.
func await(t *testing.T, condition string, holds func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		switch ok, err := holds(ctx); {
		case ok:
			return
		case err != nil || ctx.Err() != nil:
			t.Fatalf("waited for: %s, %v, %v", condition, err, ctx.Err())
		}
		time.Sleep(time.Millisecond)
	}
}

// errLeftOut is the result of a create that was not sent.
var errLeftOut = errors.New("left out")

func TestEachCreateOfABatchHasItsOwnAnswer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	s, conn := c.open(t, database, 0), c.connect(t, database)
	repeated := newLink("repeated")
	repeated.RequestID = "request"
	for _, l := range []store.Link{newLink("taken"), repeated} {
		if _, err := s.Create(t.Context(), l); err != nil {
			t.Fatalf("Create(%q) = %v, want nil", l.Code, err)
		}
	}
	const moved = "moved"
	exec(t, conn, "UPDATE buckets SET state = 'moved' WHERE bucket = $1", store.BucketOf(moved))
	stranger := repeated
	stranger.Owner = "stranger"
	late := newLink("late")
	late.CreatedAt = time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC) // not a valid timestamptz
	status := newLink("status")
	status.Status = 1 << 20 // not a valid smallint
	twice := newLink("twice")
	twice.RequestID = "twice"
	nul := newLink("nul")
	nul.Title = "a\x00b"
	latin := newLink("latin")
	latin.Tags = []string{"\xe9"}
	tests := []struct {
		link    store.Link
		want    error
		refused bool // with an error that is not one of the store's
	}{
		{newLink("leader"), nil, false},
		{newLink("good"), nil, false},
		{newLink("taken"), store.ErrExists, false},
		{repeated, nil, false},
		{stranger, store.ErrExists, false},
		{newLink(moved), store.ErrMoved, false},
		{twice, nil, false},
		{twice, nil, false},
		{newLink("good, too"), nil, false},
		{late, nil, true},
		{status, nil, true},
		{nul, nil, true},
		{latin, nil, true},
	}
	for bad, waiting := range map[bool]int{false: 8, true: 10} { // true: with values that fail the whole statement
		t.Run(fmt.Sprintf("bad=%v", bad), func(t *testing.T) {
			links, errs := together(t, s, conn, len(tests), waiting, func(i int) (store.Link, error) {
				l := tests[i].link
				if !bad && tests[i].refused {
					return l, errLeftOut
				}
				if l.Code != repeated.Code && l.Code != "taken" && l.Code != moved {
					l.Code += fmt.Sprint(bad)
				}
				return s.Create(t.Context(), l)
			})
			for i, tt := range tests {
				switch err := errs[i]; {
				case tt.refused && (err == nil || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrUnavailable)):
					t.Errorf("Create(%q) = %v, want an error of its own", tt.link.Code, err)
				case !tt.refused && !errors.Is(err, tt.want):
					t.Errorf("Create(%q) = %v, want %v", tt.link.Code, err, tt.want)
				case err == nil && (!strings.HasPrefix(links[i].Code, tt.link.Code) || links[i].Version != 1):
					t.Errorf("Create(%q) = %+v, want that code and version 1", tt.link.Code, links[i])
				}
			}
		})
	}
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM links").Scan(&rows); err != nil || rows != 2+2*4 {
		t.Errorf("%d links are stored, %v, want 10", rows, err)
	}
}
