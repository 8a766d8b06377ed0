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

// bucketLock is the class of the advisory locks of buckets. The schema uses the same number.
const bucketLock = 1413829203

// lockBuckets takes the shared locks of buckets in their order. A change of the owner of
// a bucket requires its exclusive lock. So the next statement, which has a later
// snapshot, reads an owner that cannot change before the commit.
const lockBuckets = `SELECT pg_advisory_xact_lock_shared($1, b) FROM unnest($2::int[]) AS b`

// epochs is the epoch of each bucket; 0 if the shard does not own it.
type epochs [store.Buckets]int64

// of returns the epochs of buckets, in their order.
func (e *epochs) of(buckets []int) []int64 {
	result := make([]int64, len(buckets))
	for i, b := range buckets {
		result[i] = e[b]
	}
	return result
}

// fenced takes the locks of buckets and runs the statements that queue adds, in one
// transaction and one round trip. It returns after the commit. queue may run several
// times. The callbacks of its statements run before the commit is certain.
func (s *Store) fenced(ctx context.Context, buckets []int, queue func(b *pgx.Batch)) error {
	sorted := slices.Compact(slices.Sorted(slices.Values(buckets)))
	return s.primary.do(ctx, writes, func(ctx context.Context, conn *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue(lockBuckets, bucketLock, sorted)
		queue(b)
		return conn.SendBatch(ctx, b).Close()
	})
}

// known returns the epochs of the last reading. It reads them if there was none.
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

// detachedFor is detached with another timeout.
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

// wrap adds the operation and the object to an error. Never pass a target as the object.
func wrap(err error, op, object string) error {
	switch {
	case err == nil:
		return nil
	case object == "":
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s %q: %w", op, object, err)
}
