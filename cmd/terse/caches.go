package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/cache/cdn"
	"github.com/terse/terse/store/cache/remote"
	"github.com/terse/terse/store/keyring"
	"github.com/terse/terse/store/outbox"
)

// caches opens the caches in front of the database, and starts the worker that invalidates
// them after edits. With Redis, all nodes share one count for each limit, and they receive
// revoked keys.
func (p *process) caches(ctx context.Context, d database, keys *keyring.Ring) (*cache.Cache, error) {
	options := cache.Options{
		Store: d.links, Admit: p.admitRedirect, Full: p.redirectsFull, Edited: d.edited, StaleFor: cache.DefaultStaleFor,
		MaxBytes: p.settings.cacheBytes, Logger: p.logger, Registerer: p.registry,
	}
	edits := outbox.Options{Outboxes: d.outboxes, Logger: p.logger, Registerer: p.registry}
	purges := p.settings.cdn
	purges.Registerer = p.registry
	var worker *outbox.Worker
	if p.settings.redisURL != "" {
		redis, err := remote.New(remote.Options{
			URL: p.settings.redisURL, Keys: keys, Missed: func(since time.Time) { worker.RepeatToCaches(since) },
			Logger: p.logger, Registerer: p.registry,
		})
		if err != nil {
			return nil, err
		}
		p.open.push("redis", closeTimeout, func(context.Context) error { return redis.Close() })
		if err := p.tracer.Redis(redis.Client()); err != nil {
			return nil, err
		}
		p.revoked = func(ctx context.Context, k store.Key) {
			if err := redis.AnnounceRevocation(ctx, k); err != nil {
				p.logger.WarnContext(ctx, "a revocation was not announced; other nodes read it later", "within", keyring.MaxTTL, "err", err)
			}
		}
		options.Remote, edits.Caches, purges.Nodes, p.nodes = redis, redis, redis.Nodes, redis.Nodes
		p.limiter, err = ratelimit.NewShared(ratelimit.SharedOptions{
			Client: redis.Client(), Nodes: redis.Nodes, Local: ratelimit.NewLocal(ratelimit.LocalOptions{}), Registerer: p.registry,
		})
		if err != nil {
			return nil, err
		}
	}
	if purges.Provider != "" {
		purger, err := cdn.New(purges)
		if err != nil {
			return nil, err
		}
		edits.CDN = purger
	}
	var err error
	if worker, err = outbox.New(edits); err != nil {
		return nil, err
	}
	p.open.push("outbox", closeTimeout, worker.Close)
	options.Wrote = worker.Nudge
	links, err := cache.New(options)
	if err != nil || options.Remote == nil {
		return links, err
	}
	p.background(ctx, "announcements", links.Listen)
	return links, p.canary(ctx, d.links, links)
}

// keyring opens the cache of API keys.
func (p *process) keyring(ctx context.Context, under store.Keys) (*keyring.Ring, error) {
	ring, err := keyring.New(keyring.Options{
		Keys: under, StaleFor: keyring.DefaultStaleFor, Logger: p.logger, Registerer: p.registry,
	})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "keys", ring.Run)
	return ring, nil
}

// canary starts the measurement of staleness. It edits a link of this node's own.
func (p *process) canary(ctx context.Context, under store.Store, links *cache.Cache) error {
	host, _ := os.Hostname() // without a name, the process id alone is enough
	canary, err := cache.NewCanary(cache.CanaryOptions{
		Store: under, Cache: links, Code: store.CanaryCode(fmt.Sprintf("%s %d", host, os.Getpid())), Target: "https://example.com/",
		Logger: p.logger, Registerer: p.registry,
	})
	if err != nil {
		return err
	}
	p.background(ctx, "canary", canary.Run)
	return nil
}

// background runs run in a goroutine until the process closes.
func (p *process) background(ctx context.Context, name string, run func(context.Context)) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	p.open.push(name, closeTimeout, func(ctx context.Context) error {
		stop()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}
