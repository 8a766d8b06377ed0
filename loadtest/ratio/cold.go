//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// coldConnections is how many clients request redirects at the same time.
	coldConnections = 64

	// redirectConns is the limit of the node's connections to a server for redirects.
	redirectConns = 2
)

// pointTable is the table of the yardstick: the same rows, with a number as the key,
// because pgbench draws random numbers.
const pointTable = `
CREATE TABLE yardstick_points AS SELECT row_number() OVER () AS id, l.* FROM links l;
ALTER TABLE yardstick_points ADD PRIMARY KEY (id)`

const pointScript = `\set id random(1, %d)
SELECT target FROM yardstick_points WHERE id = :id;
`

// measureCold compares redirects that each need a query to Postgres with prepared point
// selects. The first yardstick has as many clients as the load. The second has as many
// clients as the node has connections to Postgres, which is the fastest that Postgres
// can be on a small machine.
func measureCold(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.shard(ctx, b.opts.links)
	if err != nil {
		return nil, err
	}
	if err := s.exec(ctx, pointTable); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	var sides []side
	for _, clients := range []int{coldConnections, redirectConns} {
		yardstick, err := newPgbench(ctx, s, fmt.Sprintf(pointScript, s.count), clients, b.opts.shardTurn)
		if err != nil {
			return nil, err
		}
		defer yardstick.close()
		sides = append(sides, side{fmt.Sprintf("pgbench, point select, %d clients", clients), yardstick.run})
	}
	product, err := s.start(ctx, b.opts.terse)
	if err != nil {
		return nil, err
	}
	defer product.stop()
	sides = append(sides, side{"terse, cold redirect", newCold(s, product).load(coldConnections, b.opts.shardTurn, 0).run})
	found, err := takeTurns(ctx, b.opts.shardRounds, sides...)
	if err == nil {
		err = s.checkConns(ctx)
	}
	if err != nil {
		return nil, err
	}
	figures := make([]figure, 2)
	for i, clients := range []int{coldConnections, redirectConns} {
		figures[i] = figure{
			what:      fmt.Sprintf("redirect, cold, %d connections, %d to Postgres, %d links", coldConnections, redirectConns, s.count),
			measured:  perSecond(found[2]),
			yardstick: fmt.Sprintf("pgbench, prepared point select, %d connections %s", clients, perSecond(found[i])),
			ratio:     ratioOf(found[2], found[i]),
		}
	}
	figures[0].aim, figures[1].aim = "0.50 or more", "to be reported"
	return figures, nil
}

// checkConns checks that the node has at most as many connections as the second
// yardstick.
func (s *shard) checkConns(ctx context.Context) error {
	var n int
	err := s.query(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'terse redirects' AND datname = current_database()`).Scan(&n)
	})
	if err != nil {
		return fmt.Errorf("count the connections of the node: %w", err)
	}
	if n < 1 || n > redirectConns {
		return fmt.Errorf("the node has %d connections for redirects, want 1 to %d", n, redirectConns)
	}
	fmt.Printf("connections of the node for redirects: %d\n", n)
	return nil
}

// cold requests each link of a shard once, so that no cache has it.
type cold struct {
	links   links
	address string
	order   []int // numbers of the links, shuffled
	asked   atomic.Int64
}

func newCold(s *shard, product *process) *cold {
	return &cold{links: s.links, address: address(product.url), order: shuffled(s.count)}
}

// load returns a client that sends one request every so often. With every = 0 it sends
// the next request as soon as it has an answer.
func (c *cold) load(connections int, turn, every time.Duration) *load {
	return &load{address: c.address, connections: connections, turn: turn, every: every, talk: c.talk}
}

func (c *cold) talk(conn net.Conn) exchange {
	from := newAnswers(conn)
	return func() error {
		i := c.asked.Add(1) - 1
		if i >= int64(len(c.order)) {
			return fmt.Errorf("all %d links were requested: use more links or fewer rounds", len(c.order))
		}
		code, err := c.links.code(c.order[i])
		if err != nil {
			return err
		}
		return visit(conn, from, c.address, code)
	}
}

// visit requests a link and checks that the answer leads to its target.
func visit(conn net.Conn, from *answers, host, code string) error {
	if _, err := conn.Write(get(host, code)); err != nil {
		return err
	}
	if err := from.next("302"); err != nil {
		return err
	}
	if !isTarget(from.location, code) {
		return fmt.Errorf("%s leads to %q", code, from.location)
	}
	return nil
}
