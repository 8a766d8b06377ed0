// Package remote keeps links in a Redis that all processes share (L2). It also provides
// their channel for announcements of edits.
//
// Redis is never the source of truth, and no request waits long for it: calls are limited to
// tens of milliseconds, a breaker answers while Redis is unreachable, every key expires, and
// every key may be evicted at any moment.
//
// Redis never shows an older version after a newer one, even with slow readers and evicted
// keys:
//
//   - A link is stored with its version. A script replaces a link only by a higher version.
//   - A reader that finds nothing takes a lease on the key before it asks the store. It may
//     fill only while the lease exists. An edit replaces the lease, even if no link was
//     stored, by a marker that prevents leases for a while. So a reader that loaded the link
//     before the edit cannot restore it, even if the edit has been evicted since. The idea is
//     from section 3.2.1 of "Scaling Memcache at Facebook" (NSDI 2013).
//   - A process that creates a link has no lease. Redis accepts the link only within a second
//     after the create began, on the clock of Redis. If the link is edited in that second, the
//     edit leaves a marker that lives longer. So Redis has to keep its keys only for that second.
//   - "No such link" is not stored.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// Cache keeps links in Redis. Concurrent calls share the next round trip. Errors wrap
// store.ErrUnavailable, or are the error of the caller's ctx. Safe for concurrent use.
type Cache struct {
	opts    Options
	client  redis.UniversalClient
	channel string
	breaker breaker
	metrics *metrics
	nodes   atomic.Int64
	clock   serverClock
	hears   atomic.Bool

	gets       *batch.Group[string, string]
	leases     *batch.Group[string, uint64]
	writes     *batch.Group[write, int64]
	background *batch.Group[write, int64] // no request waits for these writes
}

// New returns a Cache, or an error that lists every problem of opts. It connects at the
// first use.
func New(opts Options) (*Cache, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	target, err := parseURL(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("remote: Options.URL: %w", err)
	}
	silenceClient()
	if target.TLSConfig != nil {
		target.TLSConfig.RootCAs = opts.RootCAs
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	c := &Cache{opts: opts, channel: channelOf(target.DB), metrics: m}
	c.client = redis.NewUniversalClient(configure(target, opts.Timeout))
	if err := m.pool(opts.Registerer, c.client.PoolStats); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.breaker = newBreaker(m.breakerOpen)
	if err := c.openGroups(); err != nil {
		return nil, errors.Join(fmt.Errorf("remote: %w", err), c.Close())
	}
	return c, nil
}

// openGroups makes the groups. Calls of one group share round trips.
func (c *Cache) openGroups() (err error) {
	if c.gets, err = batch.New(batch.Options[string, string]{
		Run: c.runGets, MaxBatch: c.opts.MaxBatch, Timeout: c.opts.Timeout, Observe: c.metrics.roundTrip("get"),
	}); err != nil {
		return err
	}
	if c.leases, err = batch.New(batch.Options[string, uint64]{
		Run: c.runLeases, MaxBatch: c.opts.MaxBatch, Timeout: c.opts.Timeout, Observe: c.metrics.roundTrip("lease"),
	}); err != nil {
		return err
	}
	if c.writes, err = batch.New(batch.Options[write, int64]{
		Run:      func(ctx context.Context, w []write) []batch.Result[int64] { return c.runWrites(ctx, w, c.roundTrip) },
		MaxBatch: c.opts.MaxBatch, Timeout: c.opts.Timeout, Observe: c.metrics.roundTrip("write"),
	}); err != nil {
		return err
	}
	c.background, err = batch.New(batch.Options[write, int64]{
		Run: func(ctx context.Context, w []write) []batch.Result[int64] {
			return c.runWrites(ctx, w, c.bypassBreaker)
		},
		MaxBatch: c.opts.MaxBatch, Timeout: max(slowTimeout, c.opts.Timeout), Observe: c.metrics.roundTrip("tell"),
	})
	return err
}

// Client returns the client, for other uses of the same Redis. Close closes it.
func (c *Cache) Client() redis.UniversalClient { return c.client }

// Nodes returns how many processes were running Listen at the last count, at least 1. In a
// cluster, only processes connected to the same server are counted.
func (c *Cache) Nodes() int { return int(max(1, c.nodes.Load())) }

// Close waits for running calls and closes the connections. Call it after Listen has
// returned.
func (c *Cache) Close() error {
	if c.gets != nil {
		c.gets.Close()
	}
	if c.leases != nil {
		c.leases.Close()
	}
	if c.writes != nil {
		c.writes.Close()
	}
	if c.background != nil {
		c.background.Close()
	}
	if err := c.client.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("remote: close: %w", err)
	}
	return nil
}

// Key returns the Redis key of a code. All formats of values have the same keys.
func Key(code string) string { return "terse:1:" + code }

// Lookup returns the stored link of code. If none is stored, found is false and lease is the
// argument for Fill. The lease is 0 if another reader has it, if an edit was just announced,
// or if Redis accepts no writes.
func (c *Cache) Lookup(ctx context.Context, code string) (l store.Link, found bool, lease uint64, err error) {
	key := Key(code)
	kept, err := c.gets.Do(ctx, key)
	switch {
	case err != nil:
		c.metrics.getError.Inc()
		return l, false, 0, err
	case kept == "":
		c.metrics.getMiss.Inc()
		lease, err = c.leases.Do(ctx, key)
		if err != nil {
			c.metrics.leaseError.Inc()
		}
		return l, false, lease, err
	}
	if l, found = decode(kept, code); found {
		c.metrics.getHit.Inc()
	} else {
		c.metrics.getMiss.Inc()
	}
	return l, found, 0, nil
}

// Fill stores l, which was loaded after Lookup returned the lease, unless the lease no longer
// exists. Without a lease it only replaces an older link.
func (c *Cache) Fill(ctx context.Context, l store.Link, lease uint64) error {
	n, err := c.writes.Do(ctx, write{script: fillScript, key: Key(l.Code), args: []any{
		encode(&l), l.Version, c.ttl(&l), leaseText(lease),
	}})
	c.metrics.fill.count(n, err)
	return err
}

// Put stores a new link if no link or marker is stored. It uses FreshTTL. If Redis runs it
// later than a second after began, see Begin, Put announces the link and stores nothing: the
// link may have been edited since, and the marker of that edit may have expired.
func (c *Cache) Put(ctx context.Context, l store.Link, began time.Time) error {
	until := began.Add(createWindow).UnixMilli()
	now, err := c.writes.Do(ctx, write{script: putScript, key: Key(l.Code), args: []any{
		encode(&l), jittered(c.opts.FreshTTL).Milliseconds(), until,
	}})
	c.metrics.put.count(max(now, 0), err)
	if err != nil {
		return err
	}
	c.clock.set(max(now, -now))
	if -now > until {
		return c.Announce(ctx, l) // invalidates a cached "no such link" in all processes
	}
	return nil
}

// Announce replaces an older stored link, prevents a Fill with a link loaded before the edit,
// and publishes the edit to all processes that run Listen.
func (c *Cache) Announce(ctx context.Context, l store.Link) error {
	return c.announce(ctx, c.writes, &l)
}

// Invalidate implements store.Invalidator: it announces all edits. It bypasses the breaker, and
// may take more than a second while Redis is slow.
func (c *Cache) Invalidate(ctx context.Context, edits []store.Edit) []error {
	errs := make([]error, len(edits))
	done := make(chan struct{}, len(edits))
	for i := range edits {
		go func() { // the calls share round trips
			errs[i] = c.announce(ctx, c.background, &edits[i].Link)
			done <- struct{}{}
		}()
	}
	for range edits {
		<-done
	}
	return errs
}

func (c *Cache) announce(ctx context.Context, by *batch.Group[write, int64], l *store.Link) error {
	n, err := by.Do(ctx, write{script: announceScript, key: Key(l.Code), announce: true, args: []any{
		encode(l), l.Version, c.ttl(l), markerText(l.Version), leaseTTL.Milliseconds(),
	}})
	c.metrics.announce.count(n, err)
	return err
}

// ttl returns how long a link is stored, in milliseconds. It has jitter, so that links stored
// together do not expire together.
func (c *Cache) ttl(l *store.Link) int64 {
	d := c.opts.TTL
	if time.Since(l.UpdatedAt) < freshFor {
		d = min(d, c.opts.FreshTTL)
	}
	return jittered(d).Milliseconds()
}
