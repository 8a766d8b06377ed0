//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terse/terse/api"
)

// What strangers do at the same time. Each has an address of its own.
const (
	drawingRate     = 180 // QR codes a second that are not in memory, by clients who stay below their limits
	drawingClients  = 10
	slowBodies      = 65 // bodies that lack their last byte
	slowLists       = 20 // lists of one key that are read slowly
	idleConnections = 1000
	reportFloods    = 4  // clients that report links
	reportRate      = 50 // reports a second by each of these, several thousand times their limit
)

const (
	// longestRetry is the longest pause of a stranger whose connection was closed. The pauses
	// differ, so that the strangers do not all come back at the same moment.
	longestRetry = 5 * time.Second

	// slowRead is the size of a slow reader's reads in bytes, readEvery the time between them.
	slowRead, readEvery = 512, 200 * time.Millisecond

	// reportWithin is the longest time until a report is answered.
	reportWithin = 5 * time.Second

	// arriveWithin is the longest time until all strangers have sent their first request.
	arriveWithin = 2 * time.Minute

	// readerLinks and readerTarget make a list longer than the buffers of a connection.
	readerLinks, readerTarget = 1000, 1500
)

// counts are numbers of events by name.
type counts map[string]int

func (c counts) add(other counts) {
	for name, n := range other {
		c[name] += n
	}
}

func (c counts) names() []string { return slices.Sorted(maps.Keys(c)) }

// gang is a group of strangers.
type gang struct {
	host   string
	reader string          // an API key that may read links
	ctx    context.Context //nolint:containedctx // ends when the strangers leave
	cancel context.CancelFunc
	all    sync.WaitGroup
	first  sync.WaitGroup // strangers who have not sent their first request

	mu   sync.Mutex
	seen counts
}

// newReader creates an API key that may read its links, and enough links for a long list.
func (s *scene) newReader() (key string, err error) {
	cmd := exec.CommandContext(s.ctx, s.o.binary, "key", "create", "--name", "reader", "--scope", "links:read,links:write") //nolint:gosec // the operator names the binary
	cmd.Env = append(os.Environ(), "TERSE_SHARDS="+s.state.Setting)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("create a key: %w", err)
	}
	key = strings.TrimSpace(string(out))
	links := make([]newLink, readerLinks)
	for i := range links {
		links[i] = newLink{fmt.Sprintf("long-%d", i), "https://example.com/" + strings.Repeat("x", readerTarget)}
	}
	for some := range slices.Chunk(links, perBatch/2) { // a body has at most 1 MiB
		if err := s.create(key, some); err != nil {
			return "", err
		}
	}
	return key, nil
}

// arrive starts the strangers, and returns when each has sent a request.
func (s *scene) arrive(host, reader string) (*gang, error) {
	g := &gang{host: host, reader: reader, seen: counts{}}
	g.ctx, g.cancel = context.WithCancel(s.ctx)
	for name, kind := range map[string]struct {
		n   int
		act func(g *gang, client string, begun func()) error
	}{
		"idle":   {idleConnections, (*gang).idle},
		"body":   {slowBodies, (*gang).sendSlowly},
		"list":   {slowLists, (*gang).readSlowly},
		"report": {reportFloods, (*gang).report},
	} {
		for i := range kind.n {
			g.first.Add(1)
			begun := sync.OnceFunc(g.first.Done)
			g.all.Go(func() {
				defer begun()
				for g.ctx.Err() == nil {
					if err := kind.act(g, fmt.Sprintf("198.51.100.%d", i%250), begun); err != nil && g.ctx.Err() == nil {
						g.saw(name + " failed")
					}
					g.pause(rand.N(longestRetry)) //nolint:gosec // not a secret
				}
			})
		}
	}
	g.all.Go(g.draw)
	arrived := make(chan struct{})
	go func() {
		g.first.Wait()
		close(arrived)
	}()
	select {
	case <-arrived:
		return g, nil
	case <-time.After(arriveWithin):
		g.leave()
		return nil, fmt.Errorf("the strangers have not sent their first requests after %v", arriveWithin)
	}
}

// leave ends the strangers, and returns what they saw.
func (g *gang) leave() counts {
	g.cancel()
	g.all.Wait()
	return g.seen
}

func (g *gang) saw(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[what]++
}

// pause waits, or returns when the strangers leave.
func (g *gang) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-g.ctx.Done():
	}
}

// request returns the first lines of a request, without an empty line.
func (g *gang) request(line, client string) string {
	return line + " HTTP/1.1\r\nHost: " + g.host + "\r\nX-Forwarded-For: " + client + "\r\n"
}

// connect opens a connection that closes when the strangers leave.
func (g *gang) connect() (net.Conn, func(), error) {
	conn, err := (&net.Dialer{}).DialContext(g.ctx, "tcp", g.host)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(g.ctx, func() { _ = conn.SetDeadline(time.Now()) })
	return conn, func() {
		stop()
		_ = conn.Close()
	}, nil
}

// draw requests QR codes that the node has not drawn lately.
func (g *gang) draw() {
	var asked atomic.Int64
	c := newCrowd(g.host, drawingClients, []kind{{"QR code", 1, func() question {
		n := int(asked.Add(1))
		line := fmt.Sprintf("GET /api/v1/links/%s/qr?format=png&size=%d", hotCode(n%redirectLinks), 1024-n%500)
		return question{[]byte(g.request(line, fmt.Sprintf("203.0.113.%d", n%drawingClients)) + "\r\n"), "200", ""}
	}}})
	defer c.close()
	v := c.run(g.ctx, drawingRate, time.Hour)
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, o := range map[string]outcome{"QR code 200": good, "QR code 503": refused, "QR code late": late, "QR code failed": wrong} {
		if n := v.count(everyKind, o); n > 0 {
			g.seen[name] += n
		}
	}
}

// idle sends one request and keeps the connection until the strangers leave.
func (g *gang) idle(client string, begun func()) error {
	conn, done, err := g.connect()
	if err != nil {
		return err
	}
	defer done()
	if _, err := io.WriteString(conn, g.request("GET /"+hotCode(0), client)+"\r\n"); err != nil {
		return err
	}
	if _, err := readStatus(conn); err != nil {
		return err
	}
	begun()
	_, err = io.Copy(io.Discard, conn) // until the node closes the connection
	if errors.Is(err, os.ErrDeadlineExceeded) {
		g.saw("idle open")
		return nil
	}
	return errors.Join(errors.New("the node closed an idle connection"), err)
}

// unfinished is a body of api.MaxBodyLen without its last byte.
var unfinished = bytes.Repeat([]byte{' '}, api.MaxBodyLen-1)

// sendSlowly sends a body without its last byte, and waits for the answer.
func (g *gang) sendSlowly(client string, begun func()) error {
	conn, done, err := g.connect()
	if err != nil {
		return err
	}
	defer done()
	head := fmt.Sprintf("%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", g.request("POST /api/v1/links", client), api.MaxBodyLen)
	parts := net.Buffers{[]byte(head), unfinished}
	_, sent := parts.WriteTo(conn) // fails after an early answer
	begun()
	status, err := readStatus(conn)
	switch {
	case err == nil:
		g.saw("body " + status)
	case sent == nil && errors.Is(err, os.ErrDeadlineExceeded):
		g.saw("body unfinished")
	default:
		return errors.Join(sent, err)
	}
	return nil
}

// readSlowly requests a long list, and reads few bytes at a time.
func (g *gang) readSlowly(client string, begun func()) error {
	conn, done, err := g.connect()
	if err != nil {
		return err
	}
	defer done()
	if err := conn.(*net.TCPConn).SetReadBuffer(slowRead); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, g.request("GET /api/v1/links?limit=1000", client)+"Authorization: Bearer "+g.reader+"\r\n\r\n"); err != nil {
		return err
	}
	status, err := readStatus(conn)
	if err != nil {
		return err
	}
	g.saw("list " + status)
	begun()
	for status == "200" {
		g.pause(readEvery)
		if _, err := io.CopyN(io.Discard, conn, slowRead); err != nil {
			return nil //nolint:nilerr // the node closes the connection of a slow reader
		}
	}
	return nil
}

// report reports links at a fixed rate.
func (g *gang) report(client string, begun func()) error {
	c := &connection{address: g.host}
	defer c.close()
	const form = "reason=spam"
	for n := 0; g.ctx.Err() == nil; n++ {
		head := fmt.Sprintf("%sContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", g.request("POST /"+hotCode(n%redirectLinks)+"+", client), len(form))
		got, err := c.exchange([]byte(head+form), time.Now().Add(reportWithin))
		if err != nil {
			return err
		}
		g.saw("report " + got.status)
		begun()
		g.pause(time.Second / reportRate)
	}
	return nil
}

// readStatus reads the status of an answer.
func readStatus(conn net.Conn) (string, error) {
	line := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(conn, line); err != nil {
		return "", err
	}
	return string(line[len("HTTP/1.1 "):]), nil
}
