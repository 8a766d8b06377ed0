package schema

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"time"
)

// The lock of a run. It has the class of the bucket locks, which use the numbers 0 to 4095.
const (
	lockClass = 1413829203
	lockRun   = -1
)

// lockPoll is about how often a run tries again to get the locks.
const lockPoll = 100 * time.Millisecond

// lock takes the lock of a run on all shards. It waits for other runs until ctx ends.
func (g group) lock(ctx context.Context, logger *slog.Logger) error {
	if err := g.distinct(ctx); err != nil {
		return err
	}
	for waiting := false; ; {
		taken, err := g.tryLock(ctx)
		if err != nil || taken {
			return err
		}
		if !waiting {
			logger.InfoContext(ctx, "waiting for another migration of these shards")
			waiting = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll + mathrand.N(lockPoll)): //nolint:gosec // not a secret
		}
	}
}

// tryLock takes the locks of all shards or of none. If runs waited while they have some
// locks, two runs could wait for each other, and the servers could not detect that
// deadlock.
func (g group) tryLock(ctx context.Context) (bool, error) {
	for i, s := range g {
		var taken bool
		err := s.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1::int, $2::int)", lockClass, lockRun).Scan(&taken)
		if err != nil {
			return false, s.wrap(err)
		}
		if taken {
			continue
		}
		for _, s := range g[:i] {
			if _, err := s.conn.Exec(ctx, "SELECT pg_advisory_unlock($1::int, $2::int)", lockClass, lockRun); err != nil {
				return false, s.wrap(err)
			}
		}
		return false, nil
	}
	return true, nil
}

// distinct returns an error if two shards have the same database. DSNs do not show that.
// So distinct takes a lock with a random key on each shard: the second one on the same
// database fails.
func (g group) distinct(ctx context.Context) error {
	key := rand.Text()
	var errs []error
	for _, s := range g {
		var taken bool
		err := s.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key).Scan(&taken)
		if err == nil && !taken {
			err = errors.New("its DSN leads to the database of another shard")
		}
		errs = append(errs, s.wrap(err))
	}
	return errors.Join(errs...)
}
