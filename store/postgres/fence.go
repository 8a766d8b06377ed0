package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// bucketLock is the class of the advisory locks of buckets; the schema names it.
const bucketLock = 1413829203

// lockBuckets takes the shared locks of buckets, in their order. Whoever changes
// the owner of a bucket holds its lock exclusively, so that the statement after
// this one, whose snapshot is taken later, sees an owner that stays.
const lockBuckets = `SELECT pg_advisory_xact_lock_shared($1, b) FROM unnest($2::int[]) AS b`

// epochs holds the epoch of each bucket that the shard is known to own, 0 for
// others.
type epochs [store.Buckets]int64

// of returns the epochs of some buckets, in their order.
func (e *epochs) of(buckets []int) []int64 {
	result := make([]int64, len(buckets))
	for i, b := range buckets {
		result[i] = e[b]
	}
	return result
}

// fenced runs the statements that queue adds in one transaction, after the locks
// of the buckets were taken, all in one round trip. It returns once they are
// committed. queue may run several times; the callbacks of what it queues run
// before the commit is known.
func (s *Store) fenced(ctx context.Context, buckets []int, queue func(b *pgx.Batch)) error {
	sorted := slices.Compact(slices.Sorted(slices.Values(buckets)))
	return s.primary.do(ctx, writes, func(ctx context.Context, conn *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue(lockBuckets, bucketLock, sorted)
		queue(b)
		return conn.SendBatch(ctx, b).Close()
	})
}

// known returns the epochs as they were last read, and reads them when that was
// never done.
func (s *Store) known(ctx context.Context) (*epochs, error) {
	if m := s.buckets.Load(); m != nil {
		return &m.epochs, nil
	}
	if _, _, err := s.Buckets(ctx); err != nil {
		if errors.Is(err, ErrWrongShard) {
			return nil, unavailable(err)
		}
		return nil, err
	}
	return &s.buckets.Load().epochs, nil
}

// detached runs fn on a context that outlives the caller's and ends after the
// Store's CallTimeout. When the caller's ctx ends first, detached returns its error
// and fn continues.
func detached[T any](ctx context.Context, s *Store, fn func(ctx context.Context) (T, error)) (T, error) {
	return detachedFor(ctx, s, s.opts.CallTimeout, fn)
}

// detachedFor is detached with a timeout of its own.
func detachedFor[T any](ctx context.Context, s *Store, timeout time.Duration, fn func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	s.writes.Go(func() {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		value, err := fn(own)
		if own.Err() != nil && errors.Is(err, own.Err()) {
			err = unavailable(err)
		}
		done <- result{value, err}
	})
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// wrap adds the operation and the object to an error; a target is never the
// object.
func wrap(err error, op, object string) error {
	switch {
	case err == nil:
		return nil
	case object == "":
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s %q: %w", op, object, err)
}
