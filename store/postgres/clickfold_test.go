package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// killer is a tracer that ends the session of a statement before the statement is sent. Safe for
// concurrent use.
type killer struct {
	mu   sync.Mutex
	left int // statements until the kill; negative if there is none
	kill func(pid uint32)
}

// arm makes the killer end the session of the statement after n others.
func (k *killer) arm(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left = n
}

// disarm reports whether the killer was still armed.
func (k *killer) disarm() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	armed := k.left >= 0
	k.left = -1
	return armed
}

func (k *killer) step(conn *pgx.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if conn.Config().RuntimeParams["application_name"] != "terse folds" || k.left < 0 {
		return
	}
	if k.left == 0 {
		k.kill(conn.PgConn().PID())
	}
	k.left--
}

func (k *killer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	k.step(conn)
	return ctx
}

func (k *killer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	k.step(conn)
	return ctx
}

func (*killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (*killer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*killer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// appendDays is a store.ClickMerge for packed clicks that are texts. It makes rows of links and one
// row of all links.
func appendDays(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
	var keys []string
	for _, d := range added {
		keys = append(keys, d.Key)
	}
	links, err := stored.Links(ctx, keys)
	if err != nil {
		return nil, err
	}
	var rows []store.ClickDay
	add := func(row store.ClickDay, text []byte) error {
		i := slices.IndexFunc(rows, func(r store.ClickDay) bool { return r.Kind == row.Kind && r.Key == row.Key && r.Day == row.Day })
		if i < 0 {
			before, err := stored.Days(ctx, []store.ClickDay{row})
			if err != nil {
				return err
			}
			for _, b := range before {
				row.Data = b.Data
			}
			i, rows = len(rows), append(rows, row)
		}
		rows[i].Data = append(rows[i].Data, text...)
		return nil
	}
	for _, d := range added {
		if _, ok := links[d.Key]; ok {
			if err := errors.Join(add(store.ClickDay{Key: d.Key, Day: d.Day}, d.Data), add(store.ClickDay{Kind: store.ClickAll, Day: d.Day}, d.Data)); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// clickDay is a day of a link, packed as text.
func clickDay(code string, day int32, text string) store.ClickDay {
	return store.ClickDay{Key: code, Day: day, Data: []byte(text)}
}

// addDays adds a batch with days of a link.
func addDays(t *testing.T, s *postgres.Store, recorder string, seq int64, days ...store.ClickDay) {
	t.Helper()
	b := store.ClickBatch{Recorder: recorder, Seq: seq, Days: days}
	for _, d := range days {
		b.Counts = append(b.Counts, store.ClickCount{Code: d.Key, N: 1, Last: epoch})
	}
	must(t, s.AddClicks(t.Context(), b))
}

// wantDays checks the text of the rows of a link over all days.
func wantDays(t *testing.T, s *postgres.Store, kind store.ClickKind, key, want string) {
	t.Helper()
	rows, err := s.ListClickDays(t.Context(), kind, []string{key}, 0, store.MaxClickDay)
	slices.SortFunc(rows, func(a, b store.ClickDay) int { return int(a.Day - b.Day) })
	got := ""
	for _, r := range rows {
		got += string(r.Data)
	}
	if err != nil || got != want {
		t.Errorf("ListClickDays(%d, %q) = %q, %v, want %q", kind, key, got, err, want)
	}
}

// TestFoldKilledAtEachStatement ends the session of a fold before each of its statements, the
// COMMIT included. Nothing may be lost or counted twice, and another fold must succeed at once.
func TestFoldKilledAtEachStatement(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	control := connect(t, c, database)
	k := &killer{left: -1, kill: func(pid uint32) {
		if _, err := control.Exec(context.WithoutCancel(t.Context()), "SELECT pg_terminate_backend($1, 10000)", pid); err != nil {
			t.Error(err)
		}
	}}
	s := openStore(t, postgres.Options{Primary: c.DSN(database), Tracer: k, CallTimeout: patient})
	mustCreate(t, s, link("kept"), link("deleted"))
	day := store.DayOf(epoch)
	want := ""
	statements := 0
	for killed := true; killed; statements++ {
		recorder := fmt.Sprint("recorder", statements)
		addDays(t, s, recorder, 1, clickDay("kept", day, "a"), clickDay("deleted", day, "x"), clickDay("kept", day+int32(31*statements), ""))
		_, err := s.Delete(t.Context(), "deleted", 0, epoch)
		must(t, err)
		addDays(t, s, recorder, 2, clickDay("kept", day, "b"))
		k.arm(statements)
		n, err := s.FoldClicks(t.Context(), 64, appendDays)
		killed = !k.disarm()
		switch {
		case killed && err == nil:
			t.Errorf("FoldClicks() with a killed statement %d = %d, nil, want an error", statements, n)
		case !killed && (err != nil || n != 3):
			t.Errorf("FoldClicks() = %d, %v, want 3 batches", n, err)
		}
		if killed {
			wantDays(t, s, store.ClickLink, "kept", want)
			if n, err := s.FoldClicks(t.Context(), 64, appendDays); err != nil || n != 3 {
				t.Errorf("FoldClicks() after statement %d was killed = %d, %v, want 3 batches", statements, n, err)
			}
		}
		want += "ab"
		wantDays(t, s, store.ClickLink, "kept", want)
		wantDays(t, s, store.ClickLink, "deleted", "")
		l := link("deleted")
		l.Version = int64(2*statements + 2)
		_, err = s.Restore(t.Context(), l)
		must(t, err)
	}
	if statements < 8 {
		t.Errorf("a fold has %d statements, want at least BEGIN, a lock, the batches, links, days, partitions, rows and COMMIT", statements-1)
	}
}

// TestFoldWithLostAnswers cancels folds at random moments, so that the outcome of a COMMIT may be
// unknown. Each click must be counted once.
func TestFoldWithLostAnswers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	s := c.open(t, c.database(t), 0)
	mustCreate(t, s, link("kept"))
	day, want := store.DayOf(epoch), ""
	for i := range testenv.Rounds(60) {
		addDays(t, s, "recorder", int64(i+1), clickDay("kept", day, "a"))
		want += "a"
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		_, err := s.FoldClicks(ctx, 64, appendDays)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrBusy) {
			t.Errorf("FoldClicks() = %v, want nil, an outage or the end of its context", err)
		}
	}
	eventually(t, "all batches are folded", func() error {
		_, err := s.FoldClicks(t.Context(), 64, appendDays)
		if b, counted := s.ClickBacklog(t.Context()); err == nil && counted == nil && b.Batches > 0 {
			err = fmt.Errorf("%d batches wait", b.Batches)
		}
		return err
	})
	wantDays(t, s, store.ClickLink, "kept", want)
	wantDays(t, s, store.ClickAll, "", want)
}

// TestFrozenFolder holds the lock of a shard in another session. Folds must not wait for it, and
// must succeed once it ends.
func TestFrozenFolder(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	s := newShardTest(t, c)
	s.create("kept")
	addDays(t, s.Store, "recorder", 1, clickDay("kept", 1, "a"))
	s.exec("BEGIN")
	s.exec("SELECT pg_advisory_xact_lock(1413829205)")
	if _, err := s.FoldClicks(t.Context(), 64, appendDays); !errors.Is(err, store.ErrBusy) {
		t.Errorf("FoldClicks() while another process folds = %v, want %v", err, store.ErrBusy)
	}
	if _, err := s.SweepClicks(t.Context(), store.ClickRetention{}); !errors.Is(err, store.ErrBusy) {
		t.Errorf("SweepClicks() while another process folds = %v, want %v", err, store.ErrBusy)
	}
	s.exec("ROLLBACK")
	if n, err := s.FoldClicks(t.Context(), 64, appendDays); err != nil || n != 1 {
		t.Errorf("FoldClicks() = %d, %v, want 1", n, err)
	}
	wantDays(t, s.Store, store.ClickLink, "kept", "a")
}

// TestDaysOfLinksDeletedByOlderVersions deletes a link as versions without days do. Its days are
// deleted too.
func TestDaysOfLinksDeletedByOlderVersions(t *testing.T) {
	t.Parallel()
	s := newShardTest(t, newCluster(t, 0))
	for i, code := range []string{"kept", "deleted"} {
		s.create(code)
		addDays(t, s.Store, "recorder", int64(i+1), clickDay(code, 1, "a"))
	}
	fold := func() {
		t.Helper()
		_, err := s.FoldClicks(t.Context(), 64, appendDays)
		must(t, err)
	}
	const days = "SELECT count(*) FROM click_days WHERE kind = 0"
	fold()
	wantCount(t, s.conn, 2, days)
	s.exec("UPDATE links SET version = version + 1, target = '', deleted_at = now() WHERE code = 'deleted'")
	s.exec("UPDATE links SET version = version + 1, target = 'https://example.com/edited' WHERE code = 'kept'")
	fold()
	wantCount(t, s.conn, 1, days)
	wantDays(t, s.Store, store.ClickLink, "kept", "a")
}

// TestMoveABucket moves a bucket as docs/cluster.md says, while clicks arrive. The days of its link
// must arrive complete, and each click must be counted once.
func TestMoveABucket(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	from := c.open(t, database, 0)
	mustCreate(t, from, link("moved"))
	bucket := store.BucketOf("moved")
	conn := connect(t, c, database)
	stop := make(chan struct{})
	counted := make(chan string)
	go func() {
		text := ""
		for seq := int64(1); ; seq++ {
			b := store.ClickBatch{
				Recorder: "recorder", Seq: seq, Counts: []store.ClickCount{{Code: "moved", N: 1, Last: epoch}},
				Days: []store.ClickDay{clickDay("moved", 1, "a")},
			}
			if err := from.AddClicks(context.WithoutCancel(t.Context()), b); errors.Is(err, store.ErrMoved) {
				break
			} else if err != nil {
				t.Errorf("AddClicks() = %v, want nil or %v", err, store.ErrMoved)
			} else {
				text += "a"
			}
			if seq == 10 {
				close(stop)
			}
		}
		counted <- text
	}()
	<-stop
	exec(t, conn, "UPDATE buckets SET state = 'moved' WHERE bucket = $1", bucket)
	exec(t, conn, "BEGIN")
	exec(t, conn, "LOCK TABLE click_flushes IN SHARE MODE") // waits for running flushes
	exec(t, conn, "COMMIT")
	for n := 1; n > 0; {
		var err error
		n, err = from.FoldClicks(t.Context(), 64, appendDays)
		must(t, err)
	}
	want := <-counted
	var got string
	must(t, conn.QueryRow(t.Context(), "SELECT convert_from(data, 'UTF8') FROM click_days WHERE bucket = $1", bucket).Scan(&got))
	if got != want || want == "" {
		t.Errorf("rows to copy have %q, want %q", got, want)
	}
	if _, err := from.ListClickDays(t.Context(), store.ClickLink, []string{"moved"}, 0, 9); !errors.Is(err, store.ErrMoved) {
		t.Errorf("ListClickDays() on the old shard = %v, want %v", err, store.ErrMoved)
	}
	if err := from.ResetClicks(t.Context(), "moved"); !errors.Is(err, store.ErrMoved) {
		t.Errorf("ResetClicks() on the old shard = %v, want %v", err, store.ErrMoved)
	}
}

// TestPartitions checks that a sweep makes the partitions of this month and the next one, that a
// fold makes others, and that a sweep drops old ones.
func TestPartitions(t *testing.T) {
	t.Parallel()
	s := newShardTest(t, newCluster(t, 0))
	s.create("kept")
	const partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'click_days'::regclass"
	s.exec("SELECT click_days_drop_month(at::date) FROM generate_series(date_trunc('month', now()), now() + interval '2 months', '1 month') AS at")
	wantCount(t, s.conn, 0, partitions)
	for range 2 {
		more, err := s.SweepClicks(t.Context(), store.ClickRetention{})
		if err != nil || more {
			t.Errorf("SweepClicks() = %v, %v, want false, nil", more, err)
		}
		wantCount(t, s.conn, 2, partitions)
	}
	addDays(t, s.Store, "recorder", 1, clickDay("kept", 0, "a"), clickDay("kept", 31, "b"), clickDay("kept", store.MaxClickDay, "c"))
	_, err := s.FoldClicks(t.Context(), 1, appendDays)
	must(t, err)
	wantCount(t, s.conn, 5, partitions)
	for _, left := range []int{4, 3} {
		more, err := s.SweepClicks(t.Context(), store.ClickRetention{DropBefore: 59})
		if err != nil || more != (left == 4) {
			t.Errorf("SweepClicks() = %v, %v, want one month at a time", more, err)
		}
		wantCount(t, s.conn, left, partitions)
	}
	if rows, err := s.ListClickDays(t.Context(), store.ClickLink, []string{"kept"}, 0, store.MaxClickDay+1); err != nil || len(rows) != 1 {
		t.Errorf("ListClickDays() = %v, %v, want the last day", rows, err)
	}
}

// TestFoldWithoutOwnership folds, sweeps and makes salts as a role that may only change rows, as
// servers do: deploy/postgres/roles.sql.
func TestFoldWithoutOwnership(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	conn := connect(t, c, database)
	exec(t, conn, "CREATE ROLE rows_only LOGIN")
	exec(t, conn, "REVOKE ALL ON SCHEMA public FROM public")
	exec(t, conn, "GRANT USAGE ON SCHEMA public TO rows_only")
	exec(t, conn, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO rows_only")
	exec(t, conn, "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO rows_only")
	u, err := url.Parse(c.DSN(database))
	must(t, err)
	u.User = url.User("rows_only")
	s := openStore(t, postgres.Options{Primary: u.String(), CallTimeout: patient})
	mustCreate(t, s, link("kept"))
	addDays(t, s, "recorder", 1, clickDay("kept", 400, "a"), clickDay("kept", 4000, "b"))
	if n, err := s.FoldClicks(t.Context(), 64, appendDays); err != nil || n != 1 {
		t.Errorf("FoldClicks() = %d, %v, want 1", n, err)
	}
	_, err = s.ClickSalt(t.Context(), store.DayOf(time.Now()))
	must(t, err)
	exec(t, conn, "INSERT INTO click_salts VALUES ('2000-01-01', 'old')")
	for more := true; more; {
		more, err = s.SweepClicks(t.Context(), store.ClickRetention{DropBefore: 800})
		must(t, err)
	}
	wantCount(t, conn, 1, "SELECT count(*) FROM click_salts")
	wantDays(t, s, store.ClickLink, "kept", "b")
	wantCount(t, conn, 0, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'click%' AND prosecdef AND proconfig IS NULL")
}
