package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// write is one run of a script on one key.
type write struct {
	script   *redis.Script
	key      string
	args     []any // the first one is the value
	announce bool  // also publish the value
}

// roundTrip makes one round trip through the breaker. do returns an error that concerns the
// whole round trip. A panic of do counts as a failure, or a half-open breaker would wait for
// its result forever.
func (c *Cache) roundTrip(do func() error) error {
	if !c.breaker.TryAcquirePermit() {
		return errResting
	}
	failed := true
	defer func() {
		if failed {
			c.breaker.RecordFailure()
		} else {
			c.breaker.RecordSuccess()
		}
	}()
	err := do()
	if failed = outage(err); failed {
		c.reloadMasters()
	}
	return failure(err)
}

// bypassBreaker makes one round trip without the breaker.
func (c *Cache) bypassBreaker(do func() error) error {
	err := do()
	if outage(err) {
		c.reloadMasters()
	}
	return failure(err)
}

// reloadMasters makes the client of a cluster read the list of masters in the background.
// A replica may have replaced a dead master, and the cluster does not announce it.
func (c *Cache) reloadMasters() {
	if client, ok := c.client.(*redis.ClusterClient); ok {
		client.ReloadState(context.Background())
	}
}

// errUnsent says that no server received the commands.
var errUnsent = errors.New("no connection")

// pipeline sends commands in one round trip and returns the first error. The client sets no
// error on commands for which it had no connection, for instance because the server rejected
// the database. Then pipeline returns errUnsent.
func (c *Cache) pipeline(ctx context.Context, fill func(p redis.Pipeliner)) error {
	commands, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		fill(p)
		return nil
	})
	if err != nil && !slices.ContainsFunc(commands, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return fmt.Errorf("%w: %w", errUnsent, err)
	}
	return err
}

// errResting is the error of calls while the breaker is open.
var errResting = fmt.Errorf("%w: redis: several round trips in a row failed; the next attempt follows soon", store.ErrUnavailable)

// runGets reads keys. The result of a missing key is empty.
func (c *Cache) runGets(ctx context.Context, keys []string) []batch.Result[string] {
	results := make([]batch.Result[string], len(keys))
	err := c.roundTrip(func() error {
		if client, ok := c.client.(*redis.Client); ok && len(keys) > 1 { // outside a cluster one command can read many keys
			values, err := client.MGet(ctx, keys...).Result()
			for i, v := range values {
				results[i].Value, _ = v.(string)
			}
			return err
		}
		gets := make([]*redis.StringCmd, len(keys))
		err := c.pipeline(ctx, func(p redis.Pipeliner) {
			for i, key := range keys {
				gets[i] = p.Get(ctx, key)
			}
		})
		if outage(err) {
			return err
		}
		for i, get := range gets {
			results[i].Value, results[i].Err = get.Val(), failure(get.Err())
		}
		return nil
	})
	return allOr(results, err)
}

// runLeases takes leases on keys. The result of a key without a lease is 0.
func (c *Cache) runLeases(ctx context.Context, keys []string) []batch.Result[uint64] {
	results := make([]batch.Result[uint64], len(keys))
	err := c.roundTrip(func() error {
		sets := make([]*redis.BoolCmd, len(keys))
		tokens := make([]uint64, len(keys))
		err := c.pipeline(ctx, func(p redis.Pipeliner) {
			for i, key := range keys {
				tokens[i] = max(1, rand.Uint64()) //nolint:gosec // distinguishes leases, is not a secret
				sets[i] = p.SetNX(ctx, key, leaseText(tokens[i]), leaseTTL)
			}
		})
		if outage(err) {
			return err
		}
		for i, set := range sets {
			switch {
			case set.Val():
				c.metrics.leaseTaken.Inc()
				results[i].Value = tokens[i]
			case set.Err() != nil && !errors.Is(set.Err(), redis.Nil): // out of memory, or read-only
				c.metrics.leaseError.Inc()
			default:
				c.metrics.leaseHeld.Inc()
			}
		}
		return nil
	})
	return allOr(results, err)
}

// runWrites runs scripts, and sends the source of scripts that Redis does not know yet.
func (c *Cache) runWrites(ctx context.Context, writes []write, roundTrip func(do func() error) error) []batch.Result[int64] {
	results := make([]batch.Result[int64], len(writes))
	runs, sent := make([]*redis.Cmd, len(writes)), make([]*redis.IntCmd, len(writes))
	err := roundTrip(func() error {
		if err := c.runScripts(ctx, writes, runs, sent); err != nil {
			return err
		}
		if err := c.runUnknown(ctx, writes, runs); err != nil {
			return err
		}
		for i := range writes {
			n, err := runs[i].Int64()
			if writes[i].announce {
				err = errors.Join(err, c.announced(sent[i]))
			}
			results[i] = batch.Result[int64]{Value: n, Err: failure(err)}
		}
		return c.dropFull(ctx, writes, runs)
	})
	return allOr(results, err)
}

// runScripts runs scripts by their digests, and publishes the announcements.
func (c *Cache) runScripts(ctx context.Context, writes []write, runs []*redis.Cmd, sent []*redis.IntCmd) error {
	err := c.pipeline(ctx, func(p redis.Pipeliner) {
		for i := range writes {
			w := &writes[i]
			runs[i] = w.script.EvalSha(ctx, p, []string{w.key}, w.args...)
			if w.announce {
				sent[i] = p.Publish(ctx, c.channel, w.args[0])
			}
		}
	})
	if outage(err) {
		return err
	}
	return nil
}

// runUnknown runs the scripts that Redis did not know again, with their source.
func (c *Cache) runUnknown(ctx context.Context, writes []write, runs []*redis.Cmd) error {
	var unknown []int
	for i, run := range runs {
		if redis.HasErrorPrefix(run.Err(), "NOSCRIPT") {
			unknown = append(unknown, i)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	err := c.pipeline(ctx, func(p redis.Pipeliner) {
		for _, i := range unknown {
			w := &writes[i]
			runs[i] = w.script.Eval(ctx, p, []string{w.key}, w.args...)
		}
	})
	if outage(err) {
		return err
	}
	return nil
}

// announced counts an announcement, or returns why it failed.
func (c *Cache) announced(sent *redis.IntCmd) error {
	if err := sent.Err(); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	c.metrics.sent.Inc()
	return nil
}

// dropFull deletes the keys of edits that Redis rejected because its memory is full: their
// values are outdated. The outbox repeats the announcements.
func (c *Cache) dropFull(ctx context.Context, writes []write, runs []*redis.Cmd) error {
	var full []string
	for i, run := range runs {
		if writes[i].script == announceScript && redis.HasErrorPrefix(run.Err(), "OOM") {
			full = append(full, writes[i].key)
		}
	}
	if len(full) == 0 {
		return nil
	}
	err := c.pipeline(ctx, func(p redis.Pipeliner) {
		for _, key := range full {
			p.Unlink(ctx, key)
		}
	})
	return err
}

// allOr returns results, or err for each of them.
func allOr[T any](results []batch.Result[T], err error) []batch.Result[T] {
	if err != nil {
		for i := range results {
			results[i] = batch.Result[T]{Err: err}
		}
	}
	return results
}

// outage reports whether err means that Redis was not reached or accepts no writes. A Redis
// that accepts no writes is an outage, because it misses edits and shows older versions.
// Other errors concern one command.
func outage(err error) bool {
	var said redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return false
	case errors.Is(err, errUnsent), !errors.As(err, &said):
		return true // the network, the pool or the time
	}
	for _, prefix := range []string{
		"LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "MISCONF", "NOREPLICAS", "NOAUTH", "WRONGPASS", "max number of clients",
	} {
		if strings.Contains(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// failure returns the error for the caller of one command.
func failure(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	return fmt.Errorf("%w: redis: %w", store.ErrUnavailable, err)
}
