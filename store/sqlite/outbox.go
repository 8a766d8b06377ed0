package sqlite

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// outbox serializes the deliveries to each audience. Only this process delivers.
type outbox struct {
	caches, cdn sync.Mutex

	// delivered are the rows that were delivered to the CDN once, since this process
	// started. After a restart such a row is delivered twice again. The mutex cdn guards it.
	delivered map[int64]bool
}

func (o *outbox) of(a store.Audience) *sync.Mutex {
	if a == store.CDN {
		return &o.cdn
	}
	return &o.caches
}

const dueEdits = `SELECT ` + linkColumns + `, 0, 0, 0, o.id, o.edited_at
	FROM outbox o JOIN links l ON l.code = o.code
	WHERE o.audience = ? AND o.due <= ? ORDER BY o.due LIMIT ?`

// dueDomains reads the rows that purge the answers of domains. No link has such a code.
const dueDomains = `SELECT code, id, edited_at FROM outbox
	WHERE audience = ? AND due <= ? AND substr(code, -1) = '/' ORDER BY due LIMIT ?`

const outboxBacklog = `SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE audience = ?1 ORDER BY due LIMIT ?2)),
	coalesce((SELECT edited_at FROM outbox INDEXED BY outbox_by_age WHERE audience = ?1 ORDER BY id LIMIT 1), 0)`

// These statements take a JSON array of [id, due]. A due of 0 means that the row can be
// deleted.
const (
	forgetEdits = `DELETE FROM outbox WHERE id IN (SELECT value ->> 0 FROM json_each(?) WHERE value ->> 1 = 0)`
	retryEdits  = `UPDATE outbox SET due = n.value ->> 1 FROM json_each(?) n WHERE outbox.id = n.value ->> 0`
)

// Deliver implements store.Outbox. There are no replicas that must replay an edit first, so
// one delivery to the caches is enough.
func (s *Store) Deliver(ctx context.Context, to store.Audience, limit int,
	invalidate func(ctx context.Context, edits []store.Edit) []error,
) (int, error) {
	turn := s.outbox.of(to)
	if !turn.TryLock() {
		return 0, wrap(store.ErrBusy, "deliver", "")
	}
	defer turn.Unlock()
	edits, rows, err := s.dueEdits(ctx, to, limit)
	if err != nil || len(edits) == 0 {
		return 0, wrap(err, "deliver", "")
	}
	first, of := store.Distinct(edits)
	errs := make([]error, len(first))
	if invalidate != nil {
		errs = invalidate(ctx, first)
	}
	now := s.opts.Now()
	outcomes := make([][2]int64, len(rows))
	var once []int64 // rows that are delivered once and will be delivered again
	for i, row := range rows {
		outcomes[i][0] = row
		switch {
		case errs[of[i]] != nil:
			outcomes[i][1] = micros(now.Add(store.RetryDelay(to, edits[i].Age)))
		case to == store.CDN && invalidate != nil && !edits[i].Repeat:
			outcomes[i][1] = micros(now.Add(store.AgainAfter))
			once = append(once, row)
		}
	}
	if err := s.recordDelivery(ctx, outcomes); err != nil {
		return 0, err
	}
	if to == store.CDN {
		s.outbox.note(outcomes, once)
	}
	return len(rows), nil
}

// note records the rows that were delivered to the CDN once, and forgets the rows that were
// deleted.
func (o *outbox) note(outcomes [][2]int64, once []int64) {
	if o.delivered == nil {
		o.delivered = map[int64]bool{}
	}
	for _, row := range once {
		o.delivered[row] = true
	}
	for _, row := range outcomes {
		if row[1] == 0 {
			delete(o.delivered, row[0])
		}
	}
}

// recordDelivery deletes the rows that need no further delivery, and postpones the others.
func (s *Store) recordDelivery(ctx context.Context, outcomes [][2]int64) error {
	list, err := json.Marshal(outcomes)
	if err != nil {
		return wrap(err, "deliver", "")
	}
	_, err = change(ctx, s, "deliver", "", func(ctx context.Context, tx tx) (none, error) {
		return none{}, tx.atomically(ctx, func() error {
			if _, err := tx.ExecContext(ctx, forgetEdits, string(list)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, retryEdits, string(list))
			return err
		})
	})
	return err
}

// repeatLatest queues the links with a recent edit, except links that are queued already.
// link_history has a row for each edit.
const repeatLatest = `INSERT INTO outbox (edited_at, due, audience, code)
	SELECT DISTINCT ?1, ?1, ?2, h.code FROM link_history h WHERE h.replaced_at >= ?3
	AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.audience = ?2 AND o.code = h.code)`

// Repeat implements store.Outbox. A repeated edit is stored like a new edit.
func (s *Store) Repeat(ctx context.Context, to store.Audience, within time.Duration) error {
	now := s.opts.Now()
	_, err := change(ctx, s, "repeat edits", "", func(ctx context.Context, tx tx) (none, error) {
		_, err := tx.ExecContext(ctx, repeatLatest, micros(now), to, micros(now.Add(-within)))
		return none{}, err
	})
	return err
}

// dueEdits returns the due edits of an audience and the ids of their rows. Edits of domains come
// first, because they are few.
func (s *Store) dueEdits(ctx context.Context, to store.Audience, limit int) (edits []store.Edit, ids []int64, err error) {
	now := s.opts.Now()
	for _, part := range []struct {
		query string
		scan  func(row scanner) (store.Edit, error)
	}{{dueDomains, scanEditedDomain}, {dueEdits, scanEditedLink}} {
		if len(edits) >= limit {
			break
		}
		found, err := collect(ctx, s, func(row scanner) (due, error) {
			var d due
			var err error
			d.edit, err = part.scan(extended{row, []any{&d.id, &d.at}})
			return d, err
		}, part.query, to, micros(now), limit-len(edits))
		if err != nil {
			return nil, nil, err
		}
		for _, d := range found {
			d.edit.Age, d.edit.Repeat = max(0, now.Sub(moment(d.at))), to == store.CDN && s.outbox.delivered[d.id]
			edits, ids = append(edits, d.edit), append(ids, d.id)
		}
	}
	return edits, ids, nil
}

// due is a row of the outbox.
type due struct {
	edit   store.Edit
	id, at int64
}

func scanEditedLink(row scanner) (e store.Edit, err error) {
	e.Link, err = scanLink(row)
	return e, err
}

func scanEditedDomain(row scanner) (e store.Edit, err error) {
	var key string
	err = row.Scan(&key)
	e.Domain = store.EditedDomain(key)
	return e, err
}

// extended is a row with extra columns at the end. Scan reads them into more.
type extended struct {
	row  scanner
	more []any
}

func (e extended) Scan(dest ...any) error { return e.row.Scan(append(dest, e.more...)...) }

// Backlog implements store.Outbox.
func (s *Store) Backlog(ctx context.Context, of store.Audience) (b store.Backlog, err error) {
	var oldest int64
	err = s.lists.QueryRowContext(ctx, outboxBacklog, of, store.MaxBacklog).Scan(&b.Edits, &oldest)
	if err == nil && oldest != 0 {
		b.Oldest = max(time.Microsecond, s.opts.Now().Sub(moment(oldest)))
	}
	return b, wrap(err, "count the outbox", "")
}
