package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// outboxLock is the class of the advisory locks for deliveries. The number in the class
// is the audience.
const outboxLock = bucketLock + 1

// idleTimeout is how long a process may take to deliver before it loses the lock to
// another process. It may be frozen or disconnected.
const idleTimeout = 10 * time.Second

// settleAfter is how long a second delivery waits for a replica that does not show the
// edit. Such a replica has stopped replaying and is not read.
const settleAfter = 10 * time.Second

// wakeOutbox reports whether an edit is due. Mostly none is.
const wakeOutbox = `SELECT EXISTS (SELECT FROM outbox WHERE audience = $1 AND due <= statement_timestamp()
	AND (coalesce(shown_from, 0) <= $2 OR due < statement_timestamp() - $3::interval))`

// dueEdits reads each link in its current state. A link that has moved to another shard
// is delivered there. A row for a domain has no link.
const dueEdits = `SELECT ` + linkColumns + `, o.id, o.code, o.shown_from IS NOT NULL,
	extract(epoch FROM clock_timestamp() - o.edited_at)::float8, (pg_current_wal_insert_lsn() - '0/0')::bigint
	FROM outbox o LEFT JOIN links l ON l.bucket = o.bucket AND l.code = o.code
	WHERE o.audience = $1 AND o.due <= statement_timestamp()
	AND (coalesce(o.shown_from, 0) <= $2 OR o.due < statement_timestamp() - $3::interval)
	ORDER BY o.due LIMIT $4`

const (
	forgetEdits = `DELETE FROM outbox WHERE id = ANY ($1)`
	repeatEdits = `UPDATE outbox SET shown_from = $2, due = clock_timestamp() + $3::interval WHERE id = ANY ($1)`
	retryEdits  = `UPDATE outbox o SET due = clock_timestamp() + n.delay
		FROM unnest($1::bigint[], $2::interval[]) AS n (id, delay) WHERE o.id = n.id`
)

// outboxBacklog compares rows to find the oldest edit, so that the planner can only
// search the index by audience and id. It would otherwise read edits of other audiences,
// too.
const outboxBacklog = `SELECT
	(SELECT count(*) FROM (SELECT FROM outbox WHERE audience = $1 ORDER BY due LIMIT $2) AS o),
	coalesce((SELECT extract(epoch FROM clock_timestamp() - o.edited_at)::float8
		FROM (SELECT audience, edited_at FROM outbox WHERE (audience, id) > ($1, 0) ORDER BY audience, id LIMIT 1) AS o
		WHERE o.audience = $1), 0)`

// Deliver implements store.Outbox. It keeps a transaction open while invalidate runs.
func (s *Store) Deliver(ctx context.Context, to store.Audience, limit int,
	invalidate func(ctx context.Context, edits []store.Edit) []error,
) (n int, err error) {
	err = s.primary.do(ctx, delivering, func(ctx context.Context, conn *pgx.Conn) error {
		var due bool
		shown := s.shownEverywhere()
		if err := conn.QueryRow(ctx, wakeOutbox, to, shown, settleAfter).Scan(&due); err != nil || !due {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			t, err := s.take(ctx, tx, to, limit, shown)
			if err != nil || len(t.rows)+len(t.moved) == 0 {
				return err
			}
			n = len(t.rows) + len(t.moved)
			return t.settle(ctx, tx, to, invalidate, len(s.replicas) > 0 || to == store.CDN)
		})
	})
	return n, wrap(err, "deliver", "")
}

// Backlog implements store.Outbox.
func (s *Store) Backlog(ctx context.Context, of store.Audience) (b store.Backlog, err error) {
	var age float64
	err = s.primary.read(ctx, delivering, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, outboxBacklog, of, store.MaxBacklog).Scan(&b.Edits, &age)
	})
	b.Oldest = seconds(age)
	return b, wrap(err, "count the outbox", "")
}

// shownEverywhere returns the position that all usable replicas have replayed.
func (s *Store) shownEverywhere() position {
	least := position(math.MaxInt64)
	for _, replica := range s.replicas {
		if l := replica.view.get(); l.err == nil && l.position > 0 {
			least = min(least, l.position)
		}
	}
	return least
}

// taken is the edits that one delivery has read from the outbox.
type taken struct {
	edits []store.Edit
	rows  []int64
	moved []int64  // rows of links that this shard does not have
	at    position // a server at this position shows all edits
}

// take locks the outbox of an audience and reads the due edits.
func (s *Store) take(ctx context.Context, tx pgx.Tx, to store.Audience, limit int, shown position) (t taken, err error) {
	var locked bool
	b := &pgx.Batch{}
	b.Queue(`SELECT set_config('idle_in_transaction_session_timeout', $1, true)`, idleTimeout.String())
	b.Queue(`SELECT pg_try_advisory_xact_lock($1, $2)`, outboxLock, int(to)).QueryRow(func(row pgx.Row) error { return row.Scan(&locked) })
	b.Queue(dueEdits, to, shown, settleAfter, limit).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := t.scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return t, err
	}
	if !locked {
		return taken{}, store.ErrBusy
	}
	return t, nil
}

func (t *taken) scan(rows pgx.Rows) error {
	var e store.Edit
	var id int64
	var code string
	var age float64
	var err error
	if e.Link, err = scanLink(rows, &id, &code, &e.Repeat, &age, &t.at); err != nil {
		return err
	}
	if e.Domain = store.EditedDomain(code); e.Link.Version == 0 && e.Domain == "" {
		t.moved = append(t.moved, id)
		return nil
	}
	e.Age = seconds(age)
	t.edits, t.rows = append(t.edits, e), append(t.rows, id)
	return nil
}

// settle delivers the edits, unless invalidate is nil, and records the results. again requests
// a second delivery of each edit.
func (t *taken) settle(ctx context.Context, tx pgx.Tx, to store.Audience,
	invalidate func(ctx context.Context, edits []store.Edit) []error, again bool,
) error {
	first, of := store.Distinct(t.edits)
	errs := make([]error, len(first))
	switch {
	case invalidate == nil:
		again = false
	case len(first) > 0:
		errs = invalidate(ctx, first)
	}
	done, repeat := t.moved, []int64(nil)
	var failed []int64
	var delays []time.Duration
	for i := range t.edits {
		switch e := &t.edits[i]; {
		case errs[of[i]] != nil:
			failed, delays = append(failed, t.rows[i]), append(delays, store.RetryDelay(to, e.Age))
		case again && !e.Repeat:
			repeat = append(repeat, t.rows[i])
		default:
			done = append(done, t.rows[i])
		}
	}
	b := &pgx.Batch{}
	if len(done) > 0 {
		b.Queue(forgetEdits, done)
	}
	if len(repeat) > 0 {
		var later time.Duration
		if to == store.CDN {
			later = store.AgainAfter
		}
		b.Queue(repeatEdits, repeat, t.at, later)
	}
	if len(failed) > 0 {
		b.Queue(retryEdits, failed, delays)
	}
	return tx.SendBatch(ctx, b).Close()
}

// Edited records an edit that another process has announced, so that the link is not read
// from a replica that may not show the edit yet.
func (s *Store) Edited(code string, version int64) { s.written.note(code, version) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
