package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// ownedRow is the end of an UPDATE of the link or tombstone $2 in bucket $1. The shard must own
// the bucket at epoch $3. More conditions may follow.
const ownedRow = `
	FROM buckets b LEFT JOIN click_totals c ON c.bucket = b.bucket AND c.code = $2
	WHERE b.bucket = $1 AND b.epoch = $3 AND b.state = 'owned'
	AND l.bucket = $1 AND l.code = $2`

// ownedLink is ownedRow for links only.
const ownedLink = ownedRow + ` AND l.deleted_at IS NULL`

// returnLink is the result of such an UPDATE.
const returnLink = ` RETURNING ` + linkColumns + `, ` + totalColumns

// setEditable replaces the editable fields, see editableArgs.
const setEditable = `UPDATE links l SET version = l.version + 1, target = $5, title = $6, tags = $7,
	status = $8, forward_query = $9, starts_at = $10, expires_at = $11, max_clicks = $12,
	password_hash = $13, disabled_at = $14, disabled_reason = $15,
	updated_at = nullif($16::timestamptz, l.created_at), edited_by = $17, edit_note = $18, confirm = $19, rules = $20, no_visitors = $21, forward_path = $22`

const updateLink = setEditable + `, used_clicks = nullif(greatest(l.used_clicks, $23::bigint), 0)` + ownedLink + ` AND l.version = $4::bigint` + returnLink

const restoreLink = setEditable + `, request_id = $23, deleted_at = NULL, used_clicks = NULL` + ownedRow + `
	AND l.deleted_at IS NOT NULL AND l.owner = $24 AND l.version = $4::bigint` + returnLink

// editableArgs are the arguments $4 to $22 of statements with setEditable.
func editableArgs(l *store.Link, author store.Author) []any {
	return []any{
		l.Version, l.URL, orNull(l.Title, ""), l.Tags,
		orNull(l.Status, store.DefaultStatus), orNull(l.ForwardQuery, store.ForwardOff),
		orNull(l.StartsAt, time.Time{}), orNull(l.ExpiresAt, time.Time{}), orNull(l.MaxClicks, 0),
		orNull(l.PasswordHash, ""), orNull(l.DisabledAt, time.Time{}), orNull(l.DisabledReason, ""), l.UpdatedAt,
		orNull(author.ID, ""), orNull(author.Note, ""), orNull(l.Confirm, false), orNull(l.Rules, ""), orNull(l.NoVisitors, false),
		orNull(l.ForwardPath, false),
	}
}

// deleteLink also deletes the totals. Triggers delete the tags, and make the next fold delete the days.
const deleteLink = `WITH gone AS (
	UPDATE links l SET version = l.version + 1, target = '', title = NULL, tags = NULL,
		forward_query = NULL, starts_at = NULL, expires_at = NULL, max_clicks = NULL, used_clicks = NULL,
		password_hash = NULL, disabled_at = NULL, disabled_reason = NULL, request_id = NULL, confirm = NULL, rules = NULL, no_visitors = NULL,
		forward_path = NULL,
		updated_at = nullif($5::timestamptz, l.created_at), deleted_at = $5, edited_by = $6, edit_note = $7` + ownedLink + `
		AND $4::bigint IN (0, l.version)
		RETURNING l.*
	), forgotten AS (
		DELETE FROM click_totals c USING gone WHERE c.bucket = gone.bucket AND c.code = gone.code
	)
	SELECT ` + linkColumns + `, 0, 0, NULL::timestamptz FROM gone l`

// useLink has the same conditions as store.Link.State.
const useLink = `UPDATE links l SET used_clicks = coalesce(l.used_clicks, 0) + 1` + ownedLink + `
	AND l.disabled_at IS NULL
	AND (l.expires_at IS NULL OR $4::timestamptz < l.expires_at)
	AND (coalesce(l.max_clicks, 0) <= 0 OR coalesce(l.used_clicks, 0) < l.max_clicks)
	AND (l.starts_at IS NULL OR $4::timestamptz >= l.starts_at)` + returnLink

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, l store.Link) (store.Link, error) {
	l = asStored(l)
	found, err := s.edit(ctx, l.Code, updateLink, append(editableArgs(&l, store.AuthorOf(ctx)), l.UsedClicks)...)
	found, err = edited(found, err)
	return found, wrap(err, "update", l.Code)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	author := store.AuthorOf(ctx)
	found, err := s.edit(ctx, code, deleteLink, version, micros(at), orNull(author.ID, ""), orNull(author.Note, ""))
	found, err = edited(found, err)
	return found, wrap(err, "delete", code)
}

// Restore implements store.Store.
func (s *Store) Restore(ctx context.Context, l store.Link) (store.Link, error) {
	l = asStored(l)
	args := append(editableArgs(&l, store.AuthorOf(ctx)), orNull(l.RequestID, ""), l.Owner)
	found, err := s.edit(ctx, l.Code, restoreLink, args...)
	if errors.Is(err, errUnmatched) {
		switch {
		case l.Repeats(&found):
			return found, nil
		case found.DeletedAt.IsZero() || found.Owner != l.Owner:
			found, err = store.Link{}, store.ErrExists
		default:
			found, err = store.Link{}, store.ErrVersion
		}
	}
	return found, wrap(err, "restore", l.Code)
}

// Consume implements store.Store.
func (s *Store) Consume(ctx context.Context, code string, now time.Time) (store.Link, error) {
	// A use is not an edit, so it is not recorded in written.
	found, err := detached(ctx, s, func(ctx context.Context) (store.Link, error) {
		return s.editOwned(ctx, code, s.lookUpOne, useLink, micros(now))
	})
	if errors.Is(err, errUnmatched) {
		err = store.ErrNotLive
	}
	return found, wrap(err, "consume", code)
}

// errUnmatched says that the link exists, but the conditions of the statement are not met.
var errUnmatched = errors.New("link does not match")

// edited returns the result of an edit. It replaces errUnmatched by the reason.
func edited(found store.Link, err error) (store.Link, error) {
	switch {
	case !errors.Is(err, errUnmatched):
		return found, err
	case !found.DeletedAt.IsZero():
		return store.Link{}, store.ErrGone
	}
	return store.Link{}, store.ErrVersion
}

// edit runs editOwned to its end, even if the caller leaves, and records the write in written.
func (s *Store) edit(ctx context.Context, code, statement string, args ...any) (store.Link, error) {
	return detached(ctx, s, func(ctx context.Context) (store.Link, error) {
		done := s.written.begin(code)
		l, err := s.editOwned(ctx, code, s.confirmOne, statement, args...)
		done(&l, err)
		return l, err
	})
}

// editOwned runs a statement that ends with ownedLink, and returns the changed link. args
// are the arguments after the ones of ownedLink. If no row matched, it returns the link that
// read returns and errUnmatched, or the reason why there is no link.
func (s *Store) editOwned(ctx context.Context, code string, read func(ctx context.Context, code string) (stored, error),
	statement string, args ...any,
) (store.Link, error) {
	epochs, err := s.known(ctx)
	if err != nil {
		return store.Link{}, err
	}
	var l store.Link
	bucket := store.BucketOf(code)
	args = append([]any{bucket, code, epochs[bucket]}, args...)
	err = s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
		l = store.Link{}
		b.Queue(statement, args...).QueryRow(func(row pgx.Row) (err error) {
			if l, err = scanTotals(row); errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	})
	if err != nil || l.Version > 0 {
		return l, err
	}
	now, err := read(ctx, code)
	switch {
	case err != nil:
		return store.Link{}, err
	case now.epoch != epochs[bucket]:
		return store.Link{}, store.ErrMoved
	}
	return now.link, errUnmatched
}
