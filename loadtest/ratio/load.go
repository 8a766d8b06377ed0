package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// load sends one GET over and over to one server. It writes prepared bytes and
// reads answers of a known length, so that the client costs little and the same
// for every server.
type load struct {
	name     string
	address  string
	request  []byte
	answer   []byte // of the first request; later ones have its length
	requests int64
	took     time.Duration
	last     float64 // rate of the last run
}

func newLoad(name, url, path string) *load {
	address := strings.TrimPrefix(url, "http://")
	return &load{
		name:    name,
		address: address,
		request: []byte("GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\n\r\n"),
	}
}

// rate returns the requests a second over all runs that counted.
func (l *load) rate() float64 { return float64(l.requests) / l.took.Seconds() }

// run loads the server for a time and adds to the counts if the run counts.
func (l *load) run(ctx context.Context, connections int, turn time.Duration, counts bool) error {
	ctx, cancel := context.WithTimeout(ctx, turn)
	defer cancel()
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		requests int64
		failed   error
	)
	start := time.Now()
	for range connections {
		wg.Go(func() {
			n, err := l.repeat(ctx)
			mu.Lock()
			defer mu.Unlock()
			requests += n
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", l.name, err)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	l.last = float64(requests) / took.Seconds()
	if counts {
		l.requests += requests
		l.took += took
	}
	return failed
}

// repeat sends requests over one connection until ctx ends.
func (l *load) repeat(ctx context.Context) (n int64, err error) {
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	answer := make([]byte, len(l.answer))
	status := l.answer[:bytes.IndexByte(l.answer, '\n')]
	for ctx.Err() == nil {
		if _, err := conn.Write(l.request); err != nil {
			return n, err
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			return n, err
		}
		if !bytes.HasPrefix(answer, status) {
			return n, fmt.Errorf("unexpected answer %q", answer)
		}
		n++
	}
	return n, nil
}

// first sends one request and keeps its answer, which must have no body.
func (l *load) first() (http.Header, error) {
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(l.request); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	response, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.name, err)
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusFound || response.ContentLength != 0 {
		return nil, fmt.Errorf("%s answers %s with %d bytes, want 302 with none", l.name, response.Status, response.ContentLength)
	}
	l.answer = raw.Bytes()
	return response.Header, nil
}

// sameAnswer makes sure that both servers answer the same bytes, but for the date.
func sameAnswer(a, b *load) error {
	for _, l := range []*load{a, b} {
		header, err := l.first()
		if err != nil {
			return err
		}
		l.answer = bytes.Replace(l.answer, []byte(header.Get("Date")), []byte(strings.Repeat("-", len(http.TimeFormat))), 1)
	}
	if !bytes.Equal(a.answer, b.answer) {
		return fmt.Errorf("the answers differ:\n%s\n%s", a.answer, b.answer)
	}
	return nil
}
