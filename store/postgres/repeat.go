package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// repeatLatest queues recently edited links again, except those with a queued edit that
// was not acknowledged yet. link_history has a row for each edit. A position of 0 marks a
// repetition, which waits for no replica. The LIMIT in the subquery makes the planner
// search an index: it would otherwise read the whole outbox.
const repeatLatest = `INSERT INTO outbox (bucket, audience, code, shown_from)
	SELECT DISTINCT h.bucket, $1::smallint, h.code, 0
	FROM link_history h
	WHERE h.replaced_at >= statement_timestamp() - $2::interval
	AND (SELECT true FROM outbox o
		WHERE o.audience = $1 AND o.bucket = h.bucket AND o.code = h.code AND coalesce(o.shown_from, 0) = 0 LIMIT 1) IS NULL`

// Repeat implements store.Outbox.
func (s *Store) Repeat(ctx context.Context, to store.Audience, within time.Duration) error {
	err := s.primary.do(ctx, delivering, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, repeatLatest, to, within)
		return err
	})
	return wrap(err, "repeat edits", "")
}
