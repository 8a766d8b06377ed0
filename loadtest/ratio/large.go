//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// smallLinks is the number of links of the smaller shard.
	smallLinks = 100_000

	// largeEvery is the time between requests. The servers are idle for most of it, so
	// that the latency is the work and not a queue.
	largeEvery = time.Millisecond

	// largeConnections is enough that a slow answer does not delay other requests.
	largeConnections = 8
)

// measureLarge compares the latency of a cold redirect between a shard of many links and
// a shard of few links, at the same rate.
func measureLarge(ctx context.Context, b *bench) ([]figure, error) {
	var paced [2]*pacedCold
	var sides []side
	for i, n := range []int{smallLinks, b.opts.large} {
		s, err := b.bulkShard(ctx, n)
		if err == nil {
			err = s.settle(ctx) // other parts may have written to it
		}
		if err != nil {
			return nil, err
		}
		product, err := s.start(ctx, b.opts.terse)
		if err != nil {
			return nil, err
		}
		defer product.stop()
		paced[i] = &pacedCold{load: newCold(s, product).load(largeConnections, b.opts.shardTurn, largeEvery)}
		sides = append(sides, side{fmt.Sprintf("terse, cold redirect, %d links", n), paced[i].turn})
	}
	found, err := takeTurns(ctx, b.opts.shardRounds, sides...)
	if err != nil {
		return nil, err
	}
	ratio := ratioOf(found[1], found[0])
	ratio.ratio = paced[1].p(0.99).Seconds() / paced[0].p(0.99).Seconds() // of all rounds, because one round has few slow answers
	return []figure{{
		what:      fmt.Sprintf("redirect, cold, p99 at %.0f/s, %d links", 1/largeEvery.Seconds(), b.opts.large),
		measured:  paced[1].String(),
		yardstick: fmt.Sprintf("%d links %s", smallLinks, paced[0]),
		ratio:     ratio,
		aim:       "1.30 or less",
	}}, nil
}

// pacedCold is a load that records latencies.
type pacedCold struct {
	load  *load
	turns [][]time.Duration
}

// turn returns the 99th percentile of the latency in seconds.
func (p *pacedCold) turn(ctx context.Context) (float64, error) {
	if _, err := p.load.run(ctx); err != nil {
		return 0, err
	}
	p.turns = append(p.turns, p.load.latencies)
	return quantile(p.load.latencies, 0.99).Seconds(), nil
}

// p returns a quantile of all turns except the first, which warms up.
func (p *pacedCold) p(q float64) time.Duration { return quantile(slices.Concat(p.turns[1:]...), q) }

// String formats the latencies of all turns.
func (p *pacedCold) String() string {
	return fmt.Sprintf("p50 %v, p99 %v", p.p(0.5).Round(time.Microsecond), p.p(0.99).Round(time.Microsecond))
}
