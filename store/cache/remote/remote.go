// Package remote keeps links in a Redis that all processes share (L2), and is the
// channel on which they announce edits to each other.
//
// Redis is never the truth and never waited for: calls are bounded to tens of
// milliseconds, a breaker answers while it is away, every key expires, and there
// is nothing under it that could not be dropped at any moment.
//
// What is kept never goes back in time, although readers may be slow and Redis
// may drop what it likes:
//
//   - A link carries its version, and a script replaces it by a higher one only.
//   - A reader who finds nothing takes a lease on the key before it asks the
//     store, and may fill only while that lease stands. An edit meanwhile takes
//     the place of the lease, even where nothing was kept, with a marker that
//     forbids leases for a while. So whoever read the link before the edit cannot
//     bring it back, also when the edit itself was evicted since. The idea is that
//     of section 3.2.1 of "Scaling Memcache at Facebook" (NSDI 2013).
//   - Whoever has created a link comes without a lease, and is let in for a second after
//     the create began, on Redis' own clock, however late it is itself: a link that is
//     edited meanwhile leaves a marker which stands for longer. Only for that second has
//     Redis to keep what it was given.
//   - "No such link" is not kept.
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

// Cache keeps links in Redis. Calls that come while others are under way share the
// next round trip. Errors wrap store.ErrUnavailable, or are those of the caller's
// ctx. Safe for concurrent use.
type Cache struct {
	opts    Options
	client  redis.UniversalClient
	channel string
	breaker breaker
	metrics *metrics
	nodes   atomic.Int64
	clock   serverClock
	hears   atomic.Bool

	gets   *batch.Group[string, string]
	leases *batch.Group[string, uint64]
	writes *batch.Group[write, int64]
	tells  *batch.Group[write, int64] // for which nobody waits
}

// New returns a Cache that connects when it is first used, or every problem of
// opts.
func New(opts Options) (*Cache, error) {
	opts.setDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	target, err := parseURL(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("remote: URL: %w", err)
	}
	silenceClient()
	if target.TLSConfig != nil {
		target.TLSConfig.RootCAs = opts.RootCAs
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("remote: register metrics: %w", err)
	}
	c := &Cache{opts: opts, channel: channelOf(target.DB), metrics: m}
	c.client = redis.NewUniversalClient(configure(target, opts.Timeout))
	if err := m.pool(opts.Registerer, c.client.PoolStats); err != nil {
		return nil, errors.Join(fmt.Errorf("remote: register metrics: %w", err), c.Close())
	}
	c.breaker = newBreaker(m.breakerOpen)
	if err := c.openGroups(); err != nil {
		return nil, errors.Join(fmt.Errorf("remote: %w", err), c.Close())
	}
	return c, nil
}

// openGroups makes the groups in which calls travel.
func (c *Cache) openGroups() (err error) {
	if c.gets, err = batch.New(batch.Options[string, string]{
		Run: c.runGets, MaxBatch: c.opts.MaxBatch, Timeout: c.opts.Timeout, Observe: c.metrics.flight("get"),
	}); err != nil {
		return err
	}
	if c.leases, err = batch.New(batch.Options[string, uint64]{
		Run: c.runLeases, MaxBatch: c.opts.MaxBatch, Timeout: c.opts.Timeout, Observe: c.metrics.flight("lease"),
	}); err != nil {
		return err
	}
	if c.writes, err = batch.New(batch.Options[write, int64]{
		Run:      func(ctx context.Context, w []write) []batch.Result[int64] { return c.runWrites(ctx, w, c.fly) },
		MaxBatch: c.opts.MaxBatch, Timeout: c.opts.Timeout, Observe: c.metrics.flight("write"),
	}); err != nil {
		return err
	}
	c.tells, err = batch.New(batch.Options[write, int64]{
		Run:      func(ctx context.Context, w []write) []batch.Result[int64] { return c.runWrites(ctx, w, c.flyPast) },
		MaxBatch: c.opts.MaxBatch, Timeout: max(patience, c.opts.Timeout), Observe: c.metrics.flight("tell"),
	})
	return err
}

// Client returns the connections, for other uses of the same Redis. They are closed
// by Close.
func (c *Cache) Client() redis.UniversalClient { return c.client }

// Nodes returns how many processes Listened on the channel when that was last
// counted, at least 1. In a cluster only those are counted that are connected to
// the same server.
func (c *Cache) Nodes() int { return int(max(1, c.nodes.Load())) }

// Close waits for the calls under way and closes the connections. Listen must have
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
	if c.tells != nil {
		c.tells.Close()
	}
	if err := c.client.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("remote: close: %w", err)
	}
	return nil
}

// Key returns the Redis key of a code. It names the format of what is kept, so
// that versions of Terse with different ones share a Redis.
func Key(code string) string { return "terse:1:" + code }

// Lookup returns the link that is kept for code (found). When none is kept, lease
// is what Fill asks for: 0 when another reader has it, an edit was just told of,
// or Redis takes no writes.
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

// Fill keeps l, which was loaded after Lookup gave the lease, unless the lease is
// gone. Without a lease it takes the place of an older link only.
func (c *Cache) Fill(ctx context.Context, l store.Link, lease uint64) error {
	n, err := c.writes.Do(ctx, write{script: fillScript, key: Key(l.Code), args: []any{
		encode(&l), l.Version, c.ttl(&l), leaseText(lease),
	}})
	c.metrics.fill.count(n, err)
	return err
}

// Put keeps a link that was just created, where nothing is kept or a reader has a
// lease, for a shorter time than one that somebody has asked for. When Redis gets to it
// later than a second after it began, see Begin, it announces the link and keeps nothing:
// the link may have been edited since, and nothing of that be kept any more.
func (c *Cache) Put(ctx context.Context, l store.Link, began time.Time) error {
	until := began.Add(createdFor).UnixMilli()
	now, err := c.writes.Do(ctx, write{script: putScript, key: Key(l.Code), args: []any{
		encode(&l), jittered(c.opts.FreshTTL).Milliseconds(), until,
	}})
	c.metrics.put.count(max(now, 0), err)
	if err != nil {
		return err
	}
	c.clock.set(max(now, -now))
	if -now > until {
		return c.Announce(ctx, l) // so that no process believes any more that there is none
	}
	return nil
}

// Announce replaces what is kept of the link, forbids readers who may have loaded
// it before to fill, and tells all who Listen.
func (c *Cache) Announce(ctx context.Context, l store.Link) error {
	return c.tell(ctx, c.writes, &l)
}

// Tell implements store.Teller: it announces all edits. It is for those who can
// wait: it asks past the breaker, and takes a second and more where Redis is slow.
func (c *Cache) Tell(ctx context.Context, edits []store.Edit) []error {
	errs := make([]error, len(edits))
	done := make(chan struct{}, len(edits))
	for i := range edits {
		go func() { // they share round trips
			errs[i] = c.tell(ctx, c.tells, &edits[i].Link)
			done <- struct{}{}
		}()
	}
	for range edits {
		<-done
	}
	return errs
}

func (c *Cache) tell(ctx context.Context, by *batch.Group[write, int64], l *store.Link) error {
	n, err := by.Do(ctx, write{script: tellScript, key: Key(l.Code), announce: true, args: []any{
		encode(l), l.Version, c.ttl(l), markerText(l.Version), leaseTTL.Milliseconds(),
	}})
	c.metrics.tell.count(n, err)
	return err
}

// ttl returns for how long a link is kept, in milliseconds, with jitter, so that links
// which were kept together do not expire together.
func (c *Cache) ttl(l *store.Link) int64 {
	d := c.opts.TTL
	if time.Since(l.UpdatedAt) < freshFor {
		d = min(d, c.opts.FreshTTL)
	}
	return jittered(d).Milliseconds()
}
