//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/terse/terse/internal/testenv"
)

const (
	// redisLinks is how many links are in Redis. The node's L1 has room for a few thousand
	// of them.
	redisLinks = 200_000

	// zipfExponent is the skew of the requests: the nth link is requested 1/n^1.07 times
	// as often as the first. Requests of web pages have such a skew: "Web caching and
	// Zipf-like distributions", INFOCOM 1999, finds 0.64 to 0.83 at proxies behind other
	// caches.
	zipfExponent = 1.07

	// zipfRounds is how many turns fill the caches, and how many turns are measured
	// afterwards.
	zipfRounds = 10
)

// measureRedis compares redirects from Redis with a bare net/http handler that sends the
// same bytes.
func measureRedis(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.shard(ctx, redisLinks)
	if err != nil {
		return nil, err
	}
	shared, err := testenv.StartRedis(ctx, testenv.RedisOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = shared.Close() }()
	if err := warm(ctx, b, s, shared); err != nil {
		return nil, err
	}
	product, admin, err := s.startCached(ctx, b.opts.terse, shared, "1")
	if err != nil {
		return nil, err
	}
	defer product.stop()
	asked := newCycle(s, product)
	code, err := s.links.code(asked.order[0])
	if err != nil {
		return nil, err
	}
	headers, err := newRepeated(product.url, code).first()
	if err != nil {
		return nil, err
	}
	yardstick, err := startBare(ctx, link{code, headers})
	if err != nil {
		return nil, err
	}
	defer yardstick.stop()
	same := newRepeated(yardstick.url, code)
	if _, err := same.first(); err != nil {
		return nil, err
	}
	bare := same.load(b.opts)
	bare.connections = coldConnections
	found, err := takeTurns(ctx, b.opts.rounds,
		side{"bare net/http handler", bare.run},
		side{"terse, Redis hit", asked.load(b.opts.turn).run})
	if err != nil {
		return nil, err
	}
	tiers, err := readTiers(ctx, admin)
	if err != nil {
		return nil, err
	}
	fmt.Printf("answered by: %s\n", tiers)
	if tiers.redis < 0.95 {
		return nil, fmt.Errorf("%.0f %% of the redirects came from Redis, want nearly all", 100*tiers.redis)
	}
	return []figure{{
		what:      fmt.Sprintf("redirect, Redis hit, %d connections", coldConnections),
		measured:  perSecond(found[1]),
		yardstick: "bare net/http handler " + perSecond(found[0]),
		ratio:     ratioOf(found[1], found[0]),
		aim:       "0.35 or more",
	}}, nil
}

// measureZipf measures the part of each tier in the answers when some links are requested
// much more often than others.
func measureZipf(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.shard(ctx, b.opts.links)
	if err != nil {
		return nil, err
	}
	shared, err := testenv.StartRedis(ctx, testenv.RedisOptions{Settings: map[string]string{
		"maxmemory": "128mb", "maxmemory-policy": "allkeys-lru",
	}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = shared.Close() }()
	product, admin, err := s.startCached(ctx, b.opts.terse, shared, "64")
	if err != nil {
		return nil, err
	}
	defer product.stop()
	asked := newCycle(s, product)
	asked.zipf = true
	load := asked.load(b.opts.shardTurn)
	var before, after tiers
	for round := range 2 * zipfRounds {
		if round == zipfRounds {
			if before, err = readTiers(ctx, admin); err != nil {
				return nil, err
			}
		}
		if _, err := load.run(ctx); err != nil {
			return nil, err
		}
	}
	if after, err = readTiers(ctx, admin); err != nil {
		return nil, err
	}
	share := after.since(before)
	fmt.Printf("Zipf over %d links: %s\n", s.count, share)
	return []figure{{
		what:      fmt.Sprintf("Zipf (%.2f) over %d links: share of redirects from caches", zipfExponent, s.count),
		measured:  share.String(),
		yardstick: "all redirects",
		ratio:     spread{ratio: 1 - share.store},
		aim:       "to be reported",
	}}, nil
}

// startCached starts a node over the shard and a Redis, with mib MiB for L1. It also
// returns the address of the admin listener.
func (s *shard) startCached(ctx context.Context, binary string, shared *testenv.Redis, mib string) (*process, string, error) {
	port, err := testenv.FreePort(ctx)
	if err != nil {
		return nil, "", err
	}
	admin := fmt.Sprintf("127.0.0.1:%d", port)
	product, err := s.start(ctx, binary, "TERSE_REDIS_URL="+shared.URL(), "TERSE_CACHE_SIZE="+mib, "TERSE_ADMIN_LISTEN="+admin)
	return product, admin, err
}

// warm requests all links from a separate node, so that Redis has them.
func warm(ctx context.Context, b *bench, s *shard, shared *testenv.Redis) error {
	product, _, err := s.startCached(ctx, b.opts.terse, shared, "64")
	if err != nil {
		return err
	}
	defer product.stop()
	asked := newCycle(s, product)
	load := asked.load(time.Second)
	for asked.next.Load() < int64(s.count) {
		if _, err := load.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cycle requests the links of a shard one after the other, again and again, or in random
// order by Zipf's law.
type cycle struct {
	links   links
	address string
	order   []int
	next    atomic.Int64
	zipf    bool
}

func newCycle(s *shard, product *process) *cycle {
	return &cycle{links: s.links, address: address(product.url), order: shuffled(s.count)}
}

func (c *cycle) load(turn time.Duration) *load {
	return &load{address: c.address, connections: coldConnections, turn: turn, talk: c.talk}
}

func (c *cycle) talk(conn net.Conn) exchange {
	from := newAnswers(conn)
	n := c.next.Add(1)
	skewed := rand.NewZipf(rand.New(rand.NewPCG(uint64(n), 3)), zipfExponent, 1, uint64(len(c.order)-1)) //nolint:gosec // a load
	return func() error {
		i := (c.next.Add(1) - 1) % int64(len(c.order))
		if c.zipf {
			i = int64(skewed.Uint64()) //nolint:gosec // below len(order)
		}
		code, err := c.links.code(c.order[i])
		if err != nil {
			return err
		}
		return visit(conn, from, c.address, code)
	}
}
