//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// hitConnections is how many clients request the link at the same time.
const hitConnections = 16

// measureHit compares the redirect of a link in the in-process cache with a bare net/http
// handler that sends the same bytes.
func measureHit(ctx context.Context, b *bench) ([]figure, error) {
	product, err := startTerse(ctx, b.opts.terse)
	if err != nil {
		return nil, err
	}
	defer product.stop()
	l, err := createLink(ctx, product.url)
	if err != nil {
		return nil, err
	}
	yardstick, err := startBare(ctx, l)
	if err != nil {
		return nil, err
	}
	defer yardstick.stop()
	servers := [2]*repeated{newRepeated(yardstick.url, l.code), newRepeated(product.url, l.code)}
	if err := sameAnswer(servers[0], servers[1]); err != nil {
		return nil, err
	}
	found, err := takeTurns(ctx, b.opts.rounds,
		side{"bare net/http handler", servers[0].load(b.opts).run},
		side{"terse, L1 hit", servers[1].load(b.opts).run})
	if err != nil {
		return nil, err
	}
	return []figure{{
		what:      fmt.Sprintf("redirect, L1 hit, %d connections", hitConnections),
		measured:  perSecond(found[1]),
		yardstick: "bare net/http handler " + perSecond(found[0]),
		ratio:     ratioOf(found[1], found[0]),
		aim:       "0.90 or more",
	}}, nil
}

// repeated sends the same GET again and again. The request is prepared bytes, and all
// answers have the same length.
type repeated struct {
	address string
	secure  bool // HTTPS
	request []byte
	answer  []byte // the first answer; later answers have the same length
}

func newRepeated(url, code string) *repeated { return newRepeatedOf(url, address(url), code) }

// newRepeatedOf is newRepeated with another host than the address of the server.
func newRepeatedOf(url, host, code string) *repeated {
	return &repeated{address: address(url), secure: strings.HasPrefix(url, "https:"), request: get(host, code)}
}

// get returns a request for a redirect.
func get(host, code string) []byte {
	return []byte("GET /" + code + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
}

func (r *repeated) load(o options) *load {
	return &load{address: r.address, connections: hitConnections, turn: o.turn, talk: r.talk}
}

// talk sends the requests on one connection.
func (r *repeated) talk(conn net.Conn) exchange {
	if r.secure {
		conn = tls.Client(conn, r.trust())
	}
	answer := make([]byte, len(r.answer))
	status := r.answer[:bytes.IndexByte(r.answer, '\n')]
	return func() error {
		if _, err := conn.Write(r.request); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			return err
		}
		if !bytes.HasPrefix(answer, status) {
			return fmt.Errorf("unexpected answer %q", answer)
		}
		return nil
	}
}

// first sends one request and stores its answer. The answer must have no body.
func (r *repeated) first() (http.Header, error) {
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if r.secure {
		conn = tls.Client(conn, r.trust())
	}
	if _, err := conn.Write(r.request); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	response, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.address, err)
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusFound || response.ContentLength != 0 {
		return nil, fmt.Errorf("%s answers %s with %d bytes, want 302 with 0 bytes", r.address, response.Status, response.ContentLength)
	}
	r.answer = raw.Bytes()
	return response.Header, nil
}

// sameAnswer checks that both servers send the same bytes except for the date.
func sameAnswer(a, b *repeated) error {
	for _, r := range []*repeated{a, b} {
		header, err := r.first()
		if err != nil {
			return err
		}
		r.answer = bytes.Replace(r.answer, []byte(header.Get("Date")), []byte(strings.Repeat("-", len(http.TimeFormat))), 1)
	}
	if !bytes.Equal(a.answer, b.answer) {
		return fmt.Errorf("the answers differ:\n%s\n%s", a.answer, b.answer)
	}
	return nil
}
