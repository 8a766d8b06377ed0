//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// createClients is how many clients create links at the same time, in the yardstick
	// and in the product.
	createClients = 16

	// createCrowd is a larger number of clients of the product only. It shows the effect
	// of batching.
	createCrowd = 64
)

// insertTable is the table of the yardstick, with the same rows and the same indexes.
const insertTable = `
CREATE TABLE yardstick_links (LIKE links INCLUDING ALL);
INSERT INTO yardstick_links SELECT * FROM links`

// insertScript inserts the same columns as an anonymous create of a link with a target of
// 100 bytes. Code and target are random because the number is random. The number makes a
// code of nine digits.
const insertScript = `\set bucket random(0, 4095)
\set number random(4294967296, 68719476735)
INSERT INTO yardstick_links (created_at, version, bucket, code, target, owner)
VALUES (now(), 1, :bucket, to_hex(:number::bigint), rpad('https://example.com/catalogue/spring?page=' || :number, 100, 'x'), '');
`

// measureCreate compares durable creates over HTTP, with and without batching, with
// single-row inserts of createClients clients.
func measureCreate(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.shard(ctx, b.opts.links)
	if err != nil {
		return nil, err
	}
	if err := s.exec(ctx, insertTable); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	yardstick, err := newPgbench(ctx, s, insertScript, createClients, b.opts.shardTurn)
	if err != nil {
		return nil, err
	}
	defer yardstick.close()
	sides := []side{{"pgbench, single-row insert", yardstick.run}}
	var figures []figure
	for i, p := range []struct {
		what, size string
		clients    int
		aim        string
	}{
		{"create over HTTP, durable", "256", createClients, "1.00 or more"},
		{"create over HTTP, durable", "256", createCrowd, "1.00 or more"},
		{"the same with TERSE_BATCH_SIZE=1", "1", createClients, "less: the effect of batching"},
		{"the same with TERSE_BATCH_SIZE=1", "1", createCrowd, "less: the effect of batching"},
	} {
		product, err := s.start(ctx, b.opts.terse, "--batch-size", p.size)
		if err != nil {
			return nil, err
		}
		defer product.stop()
		what := fmt.Sprintf("%s, %d clients", p.what, p.clients)
		c := creates{address: address(product.url), run: i}
		sides = append(sides, side{what, c.load(p.clients, b.opts.shardTurn).run})
		figures = append(figures, figure{what: what, aim: p.aim})
	}
	found, err := takeTurns(ctx, b.opts.shardRounds, sides...)
	if err != nil {
		return nil, err
	}
	for i := range figures {
		figures[i].measured = perSecond(found[i+1])
		figures[i].yardstick = fmt.Sprintf("pgbench, single-row INSERT, %d clients %s", createClients, perSecond(found[0]))
		figures[i].ratio = ratioOf(found[i+1], found[0])
	}
	return figures, nil
}

// creates creates links one after the other. Each has a different target.
type creates struct {
	address string
	run     int // part of the targets, so that they differ between runs
	made    atomic.Int64
}

func (c *creates) load(clients int, turn time.Duration) *load {
	return &load{address: c.address, connections: clients, turn: turn, talk: c.talk}
}

func (c *creates) talk(conn net.Conn) exchange {
	from := newAnswers(conn)
	const start, end = `{"url":"`, `"}`
	head := fmt.Sprintf("POST /api/v1/links HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		c.address, len(start)+targetLen+len(end), start)
	var request []byte
	return func() error {
		name := strconv.Itoa(c.run) + "-" + strconv.FormatInt(c.made.Add(1), 10) + "-"
		request = append(append(append(request[:0], head...), target(name)...), end...)
		if _, err := conn.Write(request); err != nil {
			return err
		}
		return from.next("201")
	}
}
