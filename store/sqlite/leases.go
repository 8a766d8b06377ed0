package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"
)

// errNoNode reports that all node ids are leased.
var errNoNode = errors.New("all node ids are leased")

// Leases leases node ids to one holder. Leases expire by the clock Options.Now. Safe for
// concurrent use.
type Leases struct {
	store  *Store
	holder string // random and unique, also after a restart
}

// Leases returns a Leases with a new holder.
func (s *Store) Leases() *Leases { return &Leases{store: s, holder: rand.Text()} }

// acquireNode takes the node id that has been free the longest, if its floor is in the past.
// When there is no such node id, it takes the free one with the earliest floor.
const acquireNode = `UPDATE node_leases SET holder = ?1, leased_until = ?2
	WHERE node = coalesce(
		(SELECT node FROM node_leases WHERE leased_until <= ?3 AND used_until <= ?3 ORDER BY leased_until LIMIT 1),
		(SELECT node FROM node_leases WHERE leased_until <= ?3 ORDER BY used_until LIMIT 1))
	RETURNING node, used_until`

// Acquire leases a free node id until ttl from now. floor is the latest timestamp recorded
// for the node id, or the zero time. Acquire prefers a node id with a floor in the past;
// otherwise it takes the free one with the earliest floor. It returns an error when all node
// ids are leased.
func (l *Leases) Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error) {
	type grant struct{ node, used int64 }
	got, err := change(ctx, l.store, "acquire node id", "", func(ctx context.Context, tx tx) (grant, error) {
		now := l.store.opts.Now()
		var g grant
		err := tx.QueryRowContext(ctx, acquireNode, l.holder, micros(now.Add(ttl)), micros(now)).Scan(&g.node, &g.used)
		if errors.Is(err, sql.ErrNoRows) {
			err = errNoNode
		}
		return g, err
	})
	return got.node, moment(got.used), err
}

// Renew makes the lease expire ttl from now and records used, the latest timestamp that the
// holder may use until the next Renew. held is false, and nothing changes, when another
// holder has acquired the node id or it was released.
func (l *Leases) Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (held bool, err error) {
	return change(ctx, l.store, "renew node id", "", func(ctx context.Context, tx tx) (bool, error) {
		return tx.changes(ctx, `UPDATE node_leases SET leased_until = ?, used_until = ? WHERE node = ? AND holder = ?`,
			micros(l.store.opts.Now().Add(ttl)), micros(used), node, l.holder)
	})
}

// Release releases the node id and records used, the latest timestamp that the holder has
// used. It changes nothing when the caller does not hold the node id.
func (l *Leases) Release(ctx context.Context, node int64, used time.Time) error {
	_, err := change(ctx, l.store, "release node id", "", func(ctx context.Context, tx tx) (bool, error) {
		return tx.changes(ctx, `UPDATE node_leases SET holder = '', leased_until = 0, used_until = ? WHERE node = ? AND holder = ?`,
			micros(used), node, l.holder)
	})
	return err
}
