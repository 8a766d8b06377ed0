//go:build unix

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestColdAsksForEachLinkOnce(t *testing.T) {
	t.Parallel()
	const count = 500
	l, err := newLinks()
	if err != nil {
		t.Fatalf("newLinks() = %v, want nil", err)
	}
	asked := make(chan string, 2*count)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := r.URL.Path[1:]
		asked <- code
		w.Header().Set("Location", target(code))
		w.WriteHeader(http.StatusFound)
	}))
	defer server.Close()
	c := newCold(&shard{links: l, count: count}, &process{url: server.URL})
	if _, err := c.load(4, 10*time.Second, 0).run(t.Context()); err == nil {
		t.Error("run() over all links = nil, want an error that says so")
	}
	close(asked)
	seen := map[string]bool{}
	for code := range asked {
		seen[code] = true
	}
	for i := range count {
		if code, err := l.code(i); err != nil || !seen[code] {
			t.Errorf("link %d, code %q, %v, was not asked for", i, code, err)
		}
	}
	if c.asked.Load() != int64(count+4) || len(seen) != count {
		t.Errorf("asked %d times for %d links, want each of %d once", c.asked.Load(), len(seen), count)
	}
}

func TestLoadKeepsItsPace(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	l := load{
		connections: 3, turn: 300 * time.Millisecond, every: 5 * time.Millisecond,
		talk: func(net.Conn) exchange {
			return func() error { requests.Add(1); return nil }
		},
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen() = %v, want nil", err)
	}
	defer func() { _ = listener.Close() }()
	l.address = listener.Addr().String()
	if _, err := l.run(t.Context()); err != nil {
		t.Fatalf("run() = %v, want nil", err)
	}
	if n := requests.Load(); n < 1 || n > 61 || len(l.latencies) != int(n) {
		t.Errorf("%d requests and %d latencies in 300 ms, want one in 5 ms at most", n, len(l.latencies))
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	l, err := newLinks()
	if err != nil {
		t.Fatalf("newLinks() = %v, want nil", err)
	}
	for _, i := range []int{0, 1, 9_999_999} {
		row, err := l.row(i)
		if err != nil || len(row) != len(l.columns()) {
			t.Fatalf("row(%d) = %d columns, %v, want %d", i, len(row), err, len(l.columns()))
		}
		code, goal, owner := row[3].(string), row[4].(string), row[5].(string)
		if len(code) != 9 || len(goal) != targetLen || len(owner) != 16 || !strings.Contains(goal, code) {
			t.Errorf("row(%d) = %s, want 9 characters of code, %d of target and 16 of owner", i, fmt.Sprint(row...), targetLen)
		}
	}
}
