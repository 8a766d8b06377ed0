package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/terse/terse/store"
)

// Why no node id was leased.
var (
	errNoNode   = errors.New("all node ids of this shard are leased")
	errNodeHeld = errors.New("node id is leased")
)

// Leases leases node ids of this shard to one holder. Leases expire on the clock of the
// primary. Safe for concurrent use.
type Leases struct {
	store  *Store
	holder string // random, so that no other process has the same, not even after a restart
	heldBy string
}

// Leases returns leases for a new holder. heldBy is the name of the holder in messages
// for people.
func (s *Store) Leases(heldBy string) *Leases {
	return &Leases{store: s, holder: rand.Text(), heldBy: heldBy}
}

// acquireAny takes the free node id that has been free the longest and has a floor in the
// past. Else it takes the free node id with the earliest floor.
const acquireAny = `UPDATE node_leases SET holder = $1, held_by = $2, leased_until = clock_timestamp() + $3
	WHERE node = (
		SELECT node FROM node_leases WHERE leased_until <= clock_timestamp()
		ORDER BY greatest(used_until, statement_timestamp()), leased_until
		LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING node, used_until`

const acquireNode = `UPDATE node_leases SET holder = $1, held_by = $2, leased_until = clock_timestamp() + $3
	WHERE node = $4::bigint AND leased_until <= clock_timestamp()
	RETURNING node, used_until`

const selectNode = `SELECT held_by, leased_until FROM node_leases WHERE node = $1::bigint`

// renewNode never lowers used_until, because a call with a lost answer may arrive after
// the next call.
const renewNode = `UPDATE node_leases SET leased_until = clock_timestamp() + $3, used_until = greatest(used_until, $4)
	WHERE node = $1::bigint AND holder = $2`

const releaseNode = `UPDATE node_leases SET holder = '', held_by = '', leased_until = '-infinity', used_until = $3
	WHERE node = $1::bigint AND holder = $2`

// Acquire leases a free node id for ttl from now. floor is the latest timestamp recorded
// for the node id, or zero. Acquire prefers a node id with a floor that is not in the
// future, then the earliest floor.
func (l *Leases) Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error) {
	got, err := l.acquire(ctx, acquireAny, ttl)
	if errors.Is(err, store.ErrNotFound) {
		err = errNoNode
	}
	return got.node, got.floor, wrap(err, "acquire node id", "")
}

// AcquireNode leases this node id as Acquire does. If another holder has it, the error
// contains the holder's name and the end of the lease.
func (l *Leases) AcquireNode(ctx context.Context, node int64, ttl time.Duration) (floor time.Time, err error) {
	got, err := l.acquire(ctx, acquireNode, ttl, node)
	if errors.Is(err, store.ErrNotFound) {
		err = l.whyHeld(ctx, node)
	}
	return got.floor, wrap(err, "acquire node id", fmt.Sprint(node))
}

// Renew extends the lease to ttl from now and records used, the latest timestamp that the
// holder may use before it renews again. If the lease was released or another holder has
// it, held is false and nothing changes.
func (l *Leases) Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (held bool, err error) {
	held, err = l.change(ctx, renewNode, node, l.holder, ttl, orNull(micros(used), time.Time{}))
	return held, wrap(err, "renew node id", fmt.Sprint(node))
}

// Release ends the lease and records used, the latest timestamp that the holder has used.
// It changes nothing if the holder does not have the lease.
func (l *Leases) Release(ctx context.Context, node int64, used time.Time) error {
	_, err := l.change(ctx, releaseNode, node, l.holder, orNull(micros(used), time.Time{}))
	return wrap(err, "release node id", fmt.Sprint(node))
}

// grant is an acquired node id.
type grant struct {
	node  int64
	floor time.Time
}

func (l *Leases) acquire(ctx context.Context, statement string, ttl time.Duration, more ...any) (grant, error) {
	args := append([]any{l.holder, l.heldBy, ttl}, more...)
	return detached(ctx, l.store, func(ctx context.Context) (g grant, err error) {
		err = l.store.primary.do(ctx, control, func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, statement, args...).Scan(&g.node, at(&g.floor))
		})
		g.floor = g.floor.UTC()
		return g, err
	})
}

// change runs a statement on one lease and reports whether the lease changed.
func (l *Leases) change(ctx context.Context, statement string, args ...any) (changed bool, err error) {
	return detached(ctx, l.store, func(ctx context.Context) (changed bool, err error) {
		err = l.store.primary.do(ctx, control, func(ctx context.Context, conn *pgx.Conn) error {
			tag, err := conn.Exec(ctx, statement, args...)
			changed = tag.RowsAffected() > 0
			return err
		})
		return changed, err
	})
}

// whyHeld returns the reason why a node id cannot be acquired.
func (l *Leases) whyHeld(ctx context.Context, node int64) error {
	var (
		heldBy string
		until  pgtype.Timestamptz
	)
	err := l.store.primary.read(ctx, control, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, selectNode, node).Scan(&heldBy, &until)
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errors.New("it belongs to another shard")
	case err != nil:
		return err
	case until.InfinityModifier != pgtype.Finite:
		return errors.New("it was released a moment ago: try again")
	}
	return fmt.Errorf("%w by %q until %s", errNodeHeld, heldBy, until.Time.UTC().Format(time.RFC3339))
}
