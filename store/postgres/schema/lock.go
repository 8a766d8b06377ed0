package schema

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"time"
)

// The lock of a run, one of its class for everything else that is locked in a
// shard: the buckets' are from 0 to 4095.
const (
	lockClass = 1413829203
	lockRun   = -1
)

// lockPoll is about how often a run looks whether another one has ended.
const lockPoll = 100 * time.Millisecond

// lock takes the lock of a run on all shards. It waits while another run has one
// of them, until ctx ends.
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
		case <-time.After(lockPoll + mathrand.N(lockPoll)): //nolint:gosec // no secret
		}
	}
}

// tryLock takes the locks of all shards or of none. A run that waited with some
// of them could wait for another that waits for it, and servers do not see that
// of each other.
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

// distinct refuses a database that is the target of two shards: it cannot be
// told by DSNs. A lock that only this run knows is taken there already.
func (g group) distinct(ctx context.Context) error {
	key := rand.Text()
	var errs []error
	for _, s := range g {
		var taken bool
		err := s.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key).Scan(&taken)
		if err == nil && !taken {
			err = errors.New("its database is that of another shard")
		}
		errs = append(errs, s.wrap(err))
	}
	return errors.Join(errs...)
}
