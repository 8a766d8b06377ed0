package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/terse/terse/store"
)

const selectReport = `SELECT id, code, reason, comment, email, reported_at, resolved_at, resolved_by, resolution, dropped FROM reports `

const insertReport = `INSERT INTO reports (id, code, reason, comment, email, reported_at, client, resolved_at, resolved_by, resolution)
	VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', '')`

// selectOpen counts the open reports of the client ?1, about the code ?2, for the reason ?3.
const selectOpen = `SELECT
	(SELECT count(*) FROM reports WHERE client = ?1 AND client <> '' AND code = ?2 AND resolved_at = 0),
	(SELECT count(*) FROM reports WHERE code = ?2 AND reason = ?3 AND resolved_at = 0),
	(SELECT count(*) FROM (SELECT 1 FROM reports WHERE client = ?1 AND client <> '' AND resolved_at = 0 LIMIT ?4)),
	(SELECT count(*) FROM (SELECT 1 FROM reports WHERE reason = ?3 AND resolved_at = 0 LIMIT ?5))`

// countDropped counts a report without room in the newest report about the link for the reason.
const countDropped = `UPDATE reports SET dropped = dropped + 1 WHERE id =
	(SELECT id FROM reports WHERE code = ? AND reason = ? AND resolved_at = 0 ORDER BY reported_at DESC, id DESC LIMIT 1)`

// pruneReports deletes up to 4 old reports, more than one create adds.
const pruneReports = `DELETE FROM reports WHERE id IN
	(SELECT id FROM reports WHERE resolved_at > 0 AND resolved_at < ? ORDER BY resolved_at LIMIT 4)`

// AddReport implements store.Reports.
func (s *Store) AddReport(ctx context.Context, r store.Report) error {
	refused, err := change(ctx, s, "add report", r.Code, func(ctx context.Context, tx tx) (refused, err error) {
		var open store.OpenReports
		err = tx.QueryRowContext(ctx, selectOpen, r.Client, r.Code, r.Reason, store.MaxReportsPerClient, store.MaxOpenReports).
			Scan(&open.OfClientAndLink, &open.OfLink, &open.OfClient, &open.OfReason)
		if err != nil {
			return nil, err
		}
		switch refused = open.Room(); {
		case errors.Is(refused, store.ErrReported):
			return nil, refused
		case refused != nil:
			_, err = tx.ExecContext(ctx, countDropped, r.Code, r.Reason)
			return refused, err
		}
		return nil, tx.atomically(ctx, func() error {
			if _, err := tx.ExecContext(ctx, pruneReports, micros(s.opts.Now().Add(-store.ReportTTL))); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, insertReport, r.ID, r.Code, r.Reason, r.Comment, r.Email, micros(r.At), r.Client)
			return err
		})
	})
	if err != nil {
		return err
	}
	return wrap(refused, "add report", r.Code)
}

// ResolveReport implements store.Reports.
func (s *Store) ResolveReport(ctx context.Context, id string, by store.Author, at time.Time) (store.Report, error) {
	return change(ctx, s, "resolve report", id, func(ctx context.Context, tx tx) (store.Report, error) {
		_, err := tx.ExecContext(ctx, `UPDATE reports SET resolved_at = ?, resolved_by = ?, resolution = ?, client = ''
			WHERE id = ? AND resolved_at = 0`, micros(at), by.ID, by.Note, id)
		if err != nil {
			return store.Report{}, err
		}
		r, err := scanReport(tx.QueryRowContext(ctx, selectReport+`WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			err = store.ErrNotFound
		}
		return r, err
	})
}

// ListReports implements store.Reports.
func (s *Store) ListReports(ctx context.Context, q store.ReportQuery) (store.ReportPage, error) {
	limit := min(max(q.Limit, 1), store.MaxPageLen)
	after, condition := int64(math.MaxInt64), `resolved_at = 0` // the same text as in the partial indexes
	if q.Resolved {
		condition = `resolved_at > 0`
	}
	if !q.After.IsZero() {
		after = micros(q.After.CreatedAt)
	}
	rows, err := s.lists.QueryContext(ctx, selectReport+`WHERE `+condition+` AND (reported_at, id) < (?, ?)
		ORDER BY reported_at DESC, id DESC LIMIT ?`, after, q.After.Code, limit+1)
	if err != nil {
		return store.ReportPage{}, wrap(err, "list reports", "")
	}
	defer rows.Close()
	var page store.ReportPage
	for rows.Next() {
		r, err := scanReport(rows)
		if err != nil {
			return store.ReportPage{}, wrap(err, "list reports", "")
		}
		page.Reports = append(page.Reports, r)
	}
	page.Cut(limit)
	return page, wrap(rows.Err(), "list reports", "")
}

// OpenReports implements store.ReportCounter.
func (s *Store) OpenReports(ctx context.Context) (n int, err error) {
	err = s.lists.QueryRowContext(ctx, `SELECT count(*) FROM reports WHERE resolved_at = 0`).Scan(&n)
	return n, wrap(err, "count reports", "")
}

// scanReport reads the columns of selectReport.
func scanReport(row scanner) (r store.Report, err error) {
	var at, resolved int64
	err = row.Scan(&r.ID, &r.Code, &r.Reason, &r.Comment, &r.Email, &at, &resolved, &r.ResolvedBy, &r.Resolution, &r.Dropped)
	r.At, r.ResolvedAt = moment(at), moment(resolved)
	return r, err
}
