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

// write is one script on one key.
type write struct {
	script   *redis.Script
	key      string
	args     []any // the first is the value
	announce bool  // the value is announced as well
}

// fly makes one round trip behind the breaker. do returns what failed as a whole.
func (c *Cache) fly(do func() error) error {
	if !c.breaker.TryAcquirePermit() {
		return errResting
	}
	err := do()
	if outage(err) {
		c.breaker.RecordFailure()
		c.lookAround()
	} else {
		c.breaker.RecordSuccess()
	}
	return failure(err)
}

// flyPast makes one round trip past the breaker.
func (c *Cache) flyPast(do func() error) error {
	err := do()
	if outage(err) {
		c.lookAround()
	}
	return failure(err)
}

// lookAround lets the client of a cluster ask, in the background, who is its masters
// now: a replica may have taken the place of one that is dead, of which nobody
// else tells.
func (c *Cache) lookAround() {
	if client, ok := c.client.(*redis.ClusterClient); ok {
		client.ReloadState(context.Background())
	}
}

// errUnsent says that commands did not get as far as to a server that takes any.
var errUnsent = errors.New("no connection")

// pipeline sends commands in one round trip, and returns the first error. The client
// leaves those without one that it had no connection for, since a server refused
// the database, for instance: nothing was said of them.
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

// errResting answers while the breaker is open.
var errResting = fmt.Errorf("%w: redis: it failed several times in a row and is asked again soon", store.ErrUnavailable)

// runGets reads keys, and returns the empty text for those that are not there.
func (c *Cache) runGets(ctx context.Context, keys []string) []batch.Result[string] {
	results := make([]batch.Result[string], len(keys))
	err := c.fly(func() error {
		if client, ok := c.client.(*redis.Client); ok && len(keys) > 1 { // one command, where that may have many keys
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

// runLeases takes leases on keys, and returns 0 for those that are not to be had.
func (c *Cache) runLeases(ctx context.Context, keys []string) []batch.Result[uint64] {
	results := make([]batch.Result[uint64], len(keys))
	err := c.fly(func() error {
		sets := make([]*redis.BoolCmd, len(keys))
		tokens := make([]uint64, len(keys))
		err := c.pipeline(ctx, func(p redis.Pipeliner) {
			for i, key := range keys {
				tokens[i] = max(1, rand.Uint64()) //nolint:gosec // tells leases apart, hides nothing
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
			case set.Err() != nil && !errors.Is(set.Err(), redis.Nil): // no room, or read-only
				c.metrics.leaseError.Inc()
			default:
				c.metrics.leaseHeld.Inc()
			}
		}
		return nil
	})
	return allOr(results, err)
}

// runWrites runs scripts, and sends those along that Redis does not know yet.
func (c *Cache) runWrites(ctx context.Context, writes []write, fly func(do func() error) error) []batch.Result[int64] {
	results := make([]batch.Result[int64], len(writes))
	runs, sent := make([]*redis.Cmd, len(writes)), make([]*redis.IntCmd, len(writes))
	err := fly(func() error {
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

// runScripts runs scripts by their names, and announces what is to be announced.
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

// runUnknown runs those scripts again, with their texts, that Redis did not know.
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

// announced returns why an announcement was not made, if so.
func (c *Cache) announced(sent *redis.IntCmd) error {
	if err := sent.Err(); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	c.metrics.sent.Inc()
	return nil
}

// dropFull drops what an edit would have replaced, had there been room: it is old.
// The edit is told of again until there is.
func (c *Cache) dropFull(ctx context.Context, writes []write, runs []*redis.Cmd) error {
	var full []string
	for i, run := range runs {
		if writes[i].script == tellScript && redis.HasErrorPrefix(run.Err(), "OOM") {
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

// outage reports whether err says that Redis could not be asked, or takes no writes,
// rather than what it said of one command. One that takes no writes shows what was
// there before edits.
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

// failure returns what the caller of one command is told.
func failure(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	return fmt.Errorf("%w: redis: %w", store.ErrUnavailable, err)
}
