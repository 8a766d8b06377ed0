package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

const insertLink = `INSERT INTO links (code, target, title, tags, owner, status, forward_query,
	starts_at, expires_at, max_clicks, password_hash, disabled_at, disabled_reason,
	deleted_at, created_at, updated_at, version, request_id, used_clicks, confirm, rules, no_visitors, forward_path, target_hash)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (code) DO NOTHING`

const updateLink = `UPDATE links SET target = ?2, title = ?3, tags = ?4, owner = ?5, status = ?6,
	forward_query = ?7, starts_at = ?8, expires_at = ?9, max_clicks = ?10, password_hash = ?11,
	disabled_at = ?12, disabled_reason = ?13, deleted_at = ?14, created_at = ?15, updated_at = ?16,
	version = ?17, request_id = ?18, used_clicks = ?19, confirm = ?20, rules = ?21, no_visitors = ?22, forward_path = ?23, target_hash = ?24,
	edited_by = ?25, edit_note = ?26
	WHERE code = ?1`

const useLink = `UPDATE links SET used_clicks = used_clicks + 1 WHERE code = ?`

// Create implements store.Store. Only the owner of a link can retry its create.
func (s *Store) Create(ctx context.Context, l store.Link) (store.Link, error) {
	l = asStored(l)
	l.Version, l.UsedClicks, l.Clicks, l.Robots, l.LastClickAt = 1, 0, 0, 0, time.Time{}
	values, err := linkValues(&l)
	if err != nil {
		return store.Link{}, wrap(err, "create", l.Code)
	}
	return change(ctx, s, "create", l.Code, func(ctx context.Context, tx tx) (store.Link, error) {
		return tx.create(ctx, l, values)
	})
}

// CreateOnce implements store.Store.
func (s *Store) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	l = asStored(l)
	l.Version, l.UsedClicks, l.Clicks, l.Robots, l.LastClickAt = 1, 0, 0, 0, time.Time{}
	values, err := linkValues(&l)
	if err != nil {
		return store.Link{}, store.Reservation{}, wrap(err, "create", l.Code)
	}
	type created struct {
		link   store.Link
		stands store.Reservation
	}
	c, err := change(ctx, s, "create", l.Code, func(ctx context.Context, tx tx) (c created, err error) {
		if c.stands, err = tx.reserve(ctx, r, s.opts.Now()); err != nil || !r.Stands(c.stands) {
			return c, err
		}
		c.link, err = tx.create(ctx, l, values)
		return c, err
	})
	return c.link, c.stands, err
}

// create adds a link. When the same request has created the link already, it returns that
// link.
func (t tx) create(ctx context.Context, l store.Link, values []any) (store.Link, error) {
	added, err := t.exec(ctx, t.edits.insert, values...)
	if err != nil || added == 1 {
		return l, err
	}
	stored, err := t.link(ctx, l.Code)
	if err != nil {
		return store.Link{}, err
	}
	if !l.Repeats(&stored) {
		return store.Link{}, store.ErrExists
	}
	return stored, nil
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, l store.Link) (store.Link, error) {
	l, author := asStored(l), store.AuthorOf(ctx)
	return change(ctx, s, "update", l.Code, func(ctx context.Context, tx tx) (store.Link, error) {
		stored, err := tx.editable(ctx, l.Code)
		if err != nil {
			return store.Link{}, err
		}
		if l.Version != stored.Version {
			return store.Link{}, store.ErrVersion
		}
		edited := l
		edited.Owner, edited.RequestID, edited.CreatedAt = stored.Owner, stored.RequestID, stored.CreatedAt
		edited.UsedClicks = max(stored.UsedClicks, l.UsedClicks)
		edited.Clicks, edited.Robots, edited.LastClickAt = stored.Clicks, stored.Robots, stored.LastClickAt
		edited.DeletedAt = time.Time{}
		edited.Version = stored.Version + 1
		return tx.put(ctx, edited, author)
	})
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	author := store.AuthorOf(ctx)
	return change(ctx, s, "delete", code, func(ctx context.Context, tx tx) (store.Link, error) {
		stored, err := tx.editable(ctx, code)
		if err != nil {
			return store.Link{}, err
		}
		if version != 0 && version != stored.Version {
			return store.Link{}, store.ErrVersion
		}
		return tx.put(ctx, asStored(stored.Tombstone(at)), author)
	})
}

// Restore implements store.Store.
func (s *Store) Restore(ctx context.Context, l store.Link) (store.Link, error) {
	l, author := asStored(l), store.AuthorOf(ctx)
	return change(ctx, s, "restore", l.Code, func(ctx context.Context, tx tx) (store.Link, error) {
		stored, err := tx.link(ctx, l.Code)
		switch {
		case err != nil:
			return store.Link{}, err
		case l.Repeats(&stored):
			return stored, nil
		case stored.DeletedAt.IsZero() || stored.Owner != l.Owner:
			return store.Link{}, store.ErrExists
		case stored.Version != l.Version:
			return store.Link{}, store.ErrVersion
		}
		restored := l
		restored.CreatedAt, restored.DeletedAt = stored.CreatedAt, time.Time{}
		restored.Clicks, restored.Robots, restored.LastClickAt = stored.Clicks, stored.Robots, stored.LastClickAt
		restored.UsedClicks = 0
		restored.Version = stored.Version + 1
		return tx.put(ctx, restored, author)
	})
}

// Consume implements store.Store.
func (s *Store) Consume(ctx context.Context, code string, now time.Time) (store.Link, error) {
	return change(ctx, s, "consume", code, func(ctx context.Context, tx tx) (store.Link, error) {
		l, err := tx.link(ctx, code)
		if err != nil {
			return store.Link{}, err
		}
		if l.State(now) != store.Live {
			return l, store.ErrNotLive
		}
		l.UsedClicks++
		_, err = tx.exec(ctx, tx.edits.use, code)
		return l, err
	})
}

// link returns the link, including the changes of this transaction.
func (t tx) link(ctx context.Context, code string) (store.Link, error) {
	l, err := scanLink(t.row(ctx, t.edits.get, code))
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	return l, err
}

// editable returns the link, or ErrGone for a tombstone.
func (t tx) editable(ctx context.Context, code string) (store.Link, error) {
	l, err := t.link(ctx, code)
	if err == nil && !l.DeletedAt.IsZero() {
		return store.Link{}, store.ErrGone
	}
	return l, err
}

// put replaces the stored link with l and returns l. author is the editor.
func (t tx) put(ctx context.Context, l store.Link, author store.Author) (store.Link, error) {
	values, err := linkValues(&l)
	if err != nil {
		return store.Link{}, err
	}
	if _, err := t.exec(ctx, t.edits.update, append(values, author.ID, author.Note)...); err != nil {
		return store.Link{}, err
	}
	return l, nil
}
