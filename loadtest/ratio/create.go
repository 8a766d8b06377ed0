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
	createClients = 16 // clients that create at the same time
	createCrowd   = 64 // the same, when there are many
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

// measureCreate compares durable creates over HTTP, as the form, the command and package
// client send them, with single-row inserts of as many clients.
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
	var sides []side
	crowds := []int{createClients, createCrowd}
	for _, clients := range crowds {
		yardstick, err := newPgbench(ctx, s, insertScript, clients, b.opts.shardTurn)
		if err != nil {
			return nil, err
		}
		defer yardstick.close()
		sides = append(sides, side{fmt.Sprintf("pgbench, single-row insert, %d clients", clients), yardstick.run})
	}
	var figures []figure
	var against []int // of sides
	for i, p := range []struct {
		what, size string
		crowd      int // index into crowds
		keys       bool
		aim        string
	}{
		{"create over HTTP, durable, with Idempotency-Key", "256", 0, true, "0.80 or more"},
		{"create over HTTP, durable, with Idempotency-Key", "256", 1, true, "1.00 or more"},
		{"the same without Idempotency-Key", "256", 0, false, "0.80 or more"},
		{"the same without Idempotency-Key", "256", 1, false, "1.00 or more"},
		{"with Idempotency-Key and TERSE_BATCH_SIZE=1", "1", 0, true, "less: the effect of batching"},
		{"with Idempotency-Key and TERSE_BATCH_SIZE=1", "1", 1, true, "less: the effect of batching"},
	} {
		product, err := s.start(ctx, b.opts.terse, "TERSE_BATCH_SIZE="+p.size)
		if err != nil {
			return nil, err
		}
		defer product.stop()
		what := fmt.Sprintf("%s, %d clients", p.what, crowds[p.crowd])
		c := creates{address: address(product.url), run: i, keys: p.keys}
		sides = append(sides, side{what, c.load(crowds[p.crowd], b.opts.shardTurn).run})
		figures = append(figures, figure{what: what, aim: p.aim})
		against = append(against, p.crowd)
	}
	found, err := takeTurns(ctx, b.opts.shardRounds, sides...)
	if err != nil {
		return nil, err
	}
	for i := range figures {
		measured, yardstick := found[len(crowds)+i], found[against[i]]
		figures[i].measured = perSecond(measured)
		figures[i].yardstick = fmt.Sprintf("pgbench, single-row INSERT, %d clients %s", crowds[against[i]], perSecond(yardstick))
		figures[i].ratio = ratioOf(measured, yardstick)
	}
	return figures, nil
}

// creates creates links one after the other. Each has a different target.
type creates struct {
	address string
	run     int  // part of the targets and keys, so that they differ between runs
	keys    bool // whether each has an Idempotency-Key
	made    atomic.Int64
}

func (c *creates) load(clients int, turn time.Duration) *load {
	return &load{address: c.address, connections: clients, turn: turn, talk: c.talk}
}

func (c *creates) talk(conn net.Conn) exchange {
	from := newAnswers(conn)
	const start, end = `{"url":"`, `"}`
	head := fmt.Sprintf("POST /api/v1/links HTTP/1.1\r\nHost: %s\r\nUser-Agent: terse/1.0\r\nAccept: application/json\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n", c.address, len(start)+targetLen+len(end))
	var request []byte
	return func() error {
		name := strconv.Itoa(c.run) + "-" + strconv.FormatInt(c.made.Add(1), 10) + "-"
		request = append(request[:0], head...)
		if c.keys {
			request = append(append(append(request, "Idempotency-Key: "...), name...), "\r\n"...)
		}
		request = append(append(append(request, "\r\n"+start...), target(name)...), end...)
		if _, err := conn.Write(request); err != nil {
			return err
		}
		return from.next("201")
	}
}
