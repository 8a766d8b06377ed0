package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// reportColumns are the columns of a report in the order of scanReport.
const reportColumns = `r.id, r.code, r.reason, r.comment, r.email, r.reported_at, r.resolved_at, r.resolved_by, r.resolution, r.dropped`

// selectOpen counts the open reports of the client $3, about the link $2, for the reason $4. It
// counts each number up to its limit.
const selectOpen = `SELECT
	(SELECT count(*) FROM reports WHERE client = $3 AND client <> '' AND bucket = $1 AND code = $2 AND resolved_at IS NULL),
	(SELECT count(*) FROM (SELECT FROM reports WHERE bucket = $1 AND code = $2 AND reason = $4 AND resolved_at IS NULL LIMIT $5) r),
	(SELECT count(*) FROM (SELECT FROM reports WHERE client = $3 AND client <> '' AND resolved_at IS NULL LIMIT $6) r),
	(SELECT count(*) FROM (SELECT FROM reports WHERE reason = $4 AND resolved_at IS NULL LIMIT $7) r)`

// countOpen counts all open reports. AddReport limits their number for each reason.
const countOpen = `SELECT count(*) FROM reports r WHERE r.resolved_at IS NULL`

const insertReport = `INSERT INTO reports (reported_at, bucket, id, code, reason, comment, email, client)
	SELECT $3, $1, $4, $5, $6, $7, $8, $9 FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned'`

// countDropped counts a report without room in the newest report about the link for the reason.
const countDropped = `UPDATE reports r SET dropped = r.dropped + 1
	FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' AND r.bucket = b.bucket AND r.id =
	(SELECT n.id FROM reports n WHERE n.bucket = $1 AND n.code = $3 AND n.reason = $4 AND n.resolved_at IS NULL
		ORDER BY n.reported_at DESC, n.id DESC LIMIT 1)`

// pruneReports deletes a few more reports than one call adds, and skips rows that another
// call deletes. It needs no fence: a report that is expired on this shard's clock has to
// be deleted here, whichever shard owns the bucket. A copy on another shard is deleted
// there.
const pruneReports = `DELETE FROM reports WHERE ctid = ANY (ARRAY(SELECT ctid FROM reports
	WHERE resolved_at < statement_timestamp() - $1::interval ORDER BY resolved_at LIMIT 4 FOR UPDATE SKIP LOCKED))`

const resolveReport = `UPDATE reports r SET resolved_at = coalesce(r.resolved_at, $4),
	resolved_by = CASE WHEN r.resolved_at IS NULL THEN $5 ELSE r.resolved_by END,
	resolution = CASE WHEN r.resolved_at IS NULL THEN $6 ELSE r.resolution END, client = ''
	FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' AND r.bucket = b.bucket AND r.id = $3
	RETURNING ` + reportColumns

const selectReports = `SELECT ` + reportColumns + `
	FROM reports r JOIN buckets b ON b.bucket = r.bucket AND b.state = 'owned' WHERE `

// AddReport implements store.Reports. Concurrent reports may exceed the limits a little.
func (s *Store) AddReport(ctx context.Context, r store.Report) error {
	return wrap(s.addReport(ctx, r), "add report", r.Code)
}

func (s *Store) addReport(ctx context.Context, r store.Report) error {
	if !keepable(r.Comment, r.Email) {
		return errText
	}
	bucket := store.BucketOf(r.Code)
	var open store.OpenReports
	args := []any{bucket, r.Code, r.Client, string(r.Reason), store.MaxReportsPerLink, store.MaxReportsPerClient, store.MaxOpenReports}
	count := func(row pgx.Row) error {
		return row.Scan(&open.OfClientAndLink, &open.OfLink, &open.OfClient, &open.OfReason)
	}
	err := s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
		return count(conn.QueryRow(ctx, selectOpen, args...))
	})
	if err == nil && errors.Is(open.Room(), store.ErrReported) { // the reporter gets the answer "already reported", so confirm it
		_, err = detached(ctx, s, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.confirmed(ctx, func(b *pgx.Batch) { b.Queue(selectOpen, args...).QueryRow(count) })
		})
	}
	if err != nil {
		return err
	}
	refused := open.Room()
	switch {
	case errors.Is(refused, store.ErrReported):
		return refused
	case refused != nil:
		if _, err := s.execOwned(ctx, bucket, countDropped, r.Code, string(r.Reason)); err != nil {
			return err
		}
		return refused
	}
	err = s.primary.do(ctx, writes, func(ctx context.Context, conn *pgx.Conn) error { // before the insert: a failure after it would look like a lost report
		_, err := conn.Exec(ctx, pruneReports, store.ReportTTL)
		return err
	})
	if err != nil {
		return err
	}
	_, err = s.execOwned(ctx, bucket, insertReport, micros(r.At), r.ID, r.Code, string(r.Reason), r.Comment, r.Email, r.Client)
	if errors.Is(translate(err), store.ErrExists) { // a concurrent report of the client
		return store.ErrReported
	}
	return err
}

// ResolveReport implements store.Reports.
func (s *Store) ResolveReport(ctx context.Context, id string, by store.Author, at time.Time) (store.Report, error) {
	bucket, ok := store.ReportBucket(id)
	if !ok {
		return store.Report{}, wrap(store.ErrNotFound, "resolve report", id)
	}
	r, err := detached(ctx, s, func(ctx context.Context) (r store.Report, err error) {
		epochs, err := s.known(ctx)
		if err != nil {
			return r, err
		}
		var owned bool
		err = s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
			r = store.Report{}
			b.Queue(resolveReport, bucket, epochs[bucket], id, micros(at), by.ID, by.Note).QueryRow(func(row pgx.Row) (err error) {
				if r, err = scanReport(row); errors.Is(err, pgx.ErrNoRows) {
					return nil
				}
				return err
			})
			b.Queue(ownsBucket, bucket, epochs[bucket]).QueryRow(func(row pgx.Row) error { return row.Scan(&owned) })
		})
		switch {
		case err != nil:
			return store.Report{}, err
		case !owned:
			return store.Report{}, store.ErrMoved
		case r.ID == "":
			return store.Report{}, store.ErrNotFound
		}
		return r, nil
	})
	return r, wrap(err, "resolve report", id)
}

// ListReports implements store.Reports.
func (s *Store) ListReports(ctx context.Context, q store.ReportQuery) (page store.ReportPage, err error) {
	limit := min(max(q.Limit, 1), store.MaxPageLen)
	query := selectReports + `r.resolved_at IS NULL`
	if q.Resolved {
		query = selectReports + `r.resolved_at IS NOT NULL`
	}
	args := []any{limit + 1}
	if !q.After.IsZero() {
		query += ` AND (r.reported_at, r.id) < ($2, $3)`
		args = append(args, q.After.CreatedAt, q.After.Code)
	}
	query += ` ORDER BY r.reported_at DESC, r.id DESC LIMIT $1`
	err = s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		page.Reports, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Report, error) { return scanReport(row) })
		return err
	})
	page.Cut(limit)
	return page, wrap(err, "list reports", "")
}

// OpenReports implements store.ReportCounter.
func (s *Store) OpenReports(ctx context.Context) (n int, err error) {
	err = s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, countOpen).Scan(&n)
	})
	return n, wrap(err, "count reports", "")
}

// scanReport reads reportColumns.
func scanReport(row pgx.Row) (r store.Report, err error) {
	err = row.Scan(&r.ID, &r.Code, &r.Reason, &r.Comment, &r.Email, &r.At, at(&r.ResolvedAt), text(&r.ResolvedBy), text(&r.Resolution), &r.Dropped)
	r.At, r.ResolvedAt = r.At.UTC(), r.ResolvedAt.UTC()
	return r, err
}
