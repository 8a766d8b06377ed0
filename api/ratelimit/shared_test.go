//go:build unix

package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/internal/testenv"
)

const nodes = 3

// patient is a timeout of Redis that a busy machine does not reach.
const patient = 30 * time.Second

// newNodes returns the limiters of several nodes that share a Redis.
func newNodes(t *testing.T) ([]*ratelimit.Shared, *testenv.Redis) {
	t.Helper()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	all := make([]*ratelimit.Shared, nodes)
	for i := range all {
		client := redis.NewClient(&redis.Options{
			Addr: shared.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DialTimeout: patient,
		})
		t.Cleanup(func() { _ = client.Close() })
		s, err := ratelimit.NewShared(ratelimit.SharedOptions{
			Client: client, Local: ratelimit.NewLocal(ratelimit.LocalOptions{}), Nodes: func() int { return nodes },
			Timeout: patient, Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = s
	}
	return all, shared
}

func limit(t *testing.T, s string) ratelimit.Limit {
	t.Helper()
	l, err := ratelimit.ParseLimit(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// takeAll lets all nodes take single permits concurrently, until each of four callers of a
// node has made the given number of calls and all have the given number of permits. It
// returns the permits taken and the time.
func takeAll(t *testing.T, all []*ratelimit.Shared, key string, l ratelimit.Limit, times int, enough int64) (allowed int64, took time.Duration) {
	t.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for _, s := range all {
		for range 4 {
			wg.Go(func() {
				for i := 0; i < times || n.Load() < enough; i++ {
					r, err := s.Take(t.Context(), key, l, 1)
					if err != nil {
						t.Errorf("Take = %v, want nil", err)
					}
					n.Add(int64(r.Allowed))
				}
			})
		}
	}
	wg.Wait()
	return n.Load(), time.Since(began)
}

func TestNewSharedReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := ratelimit.NewShared(ratelimit.SharedOptions{Timeout: -1})
	for _, field := range []string{"Client", "Local", "Nodes", "Registerer", "Timeout"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("NewShared = %v, want an error that names %s", err, field)
		}
	}
}

// TestNodesShareALimit checks that all nodes together keep a limit, in a burst and over
// time.
func TestNodesShareALimit(t *testing.T) {
	t.Parallel()
	all, _ := newNodes(t)
	t.Run("burst", func(t *testing.T) {
		t.Parallel()
		l := limit(t, "120/1m")
		got, took := takeAll(t, all, "burst", l, 60, 0)
		if most := 120 + int64(took/(l.Window/120)) + 1; got < 120 || got > most {
			t.Errorf("%d nodes were allowed %d in %v, want 120 to %d", nodes, got, took, most)
		}
	})
	t.Run("sustained", func(t *testing.T) {
		t.Parallel()
		l := limit(t, "20/1s")
		got, took := takeAll(t, all, "sustained", l, 0, 80)
		if most := 20 + int64(took/(l.Window/20)) + 1; got > most {
			t.Errorf("%d nodes were allowed %d in %v, want %d at most", nodes, got, took, most)
		}
	})
}

func TestSharedResults(t *testing.T) {
	t.Parallel()
	all, _ := newNodes(t)
	l := limit(t, "10/100s")
	for _, step := range []struct {
		n    int
		want ratelimit.Result
	}{
		{0, ratelimit.Result{Remaining: 10}},
		{4, ratelimit.Result{Allowed: 4, Remaining: 6, ResetAfter: 40 * time.Second}},
		{0, ratelimit.Result{Remaining: 6, ResetAfter: 40 * time.Second}},
		{9, ratelimit.Result{Allowed: 6, RetryAfter: 10 * time.Second, ResetAfter: 100 * time.Second}},
		{1, ratelimit.Result{RetryAfter: 10 * time.Second, ResetAfter: 100 * time.Second}},
		{0, ratelimit.Result{RetryAfter: 10 * time.Second, ResetAfter: 100 * time.Second}},
	} {
		got, err := all[step.n%nodes].Take(t.Context(), "results", l, step.n)
		if err != nil || got != step.want {
			t.Errorf("Take(%d) = %+v, %v, want %+v", step.n, got, err, step.want)
		}
	}
	if got, err := all[0].Take(t.Context(), "off", ratelimit.Limit{}, 7); err != nil || got.Allowed != 7 {
		t.Errorf("Take without a limit = %+v, %v, want 7", got, err)
	}
	if _, err := all[0].Take(t.Context(), "negative", l, -1); err == nil {
		t.Error("Take(-1) = nil, want an error")
	}
}

// TestLeavingClientsAreCounted checks that a client which does not wait for the answer is
// charged in Redis, and that Redis does not count as away because of it.
func TestLeavingClientsAreCounted(t *testing.T) {
	t.Parallel()
	all, _ := newNodes(t)
	l := limit(t, "10/10000s")
	gone, leave := context.WithCancel(t.Context())
	leave()
	for i := range 5 {
		if got, err := all[0].Take(gone, "leaving", l, 1); err != nil || got.Remaining != 9-i {
			t.Errorf("Take of a client that left = %+v, %v, want %d to remain", got, err, 9-i)
		}
	}
	if got, err := all[1].Take(t.Context(), "leaving", l, 1); err != nil || got.Remaining != 4 {
		t.Errorf("Take by another node = %+v, %v, want 4 to remain", got, err)
	}
}

// unreachable returns a limiter that cannot connect to its Redis, and a counter of its
// attempts to connect. Each attempt calls dial.
func unreachable(t *testing.T, dial func()) (*ratelimit.Shared, *atomic.Int64) {
	t.Helper()
	var dials atomic.Int64
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1, PoolSize: 1000,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			dial()
			return nil, errors.New("no route to host")
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	s, err := ratelimit.NewShared(ratelimit.SharedOptions{
		Client: client, Local: ratelimit.NewLocal(ratelimit.LocalOptions{}), Nodes: func() int { return 1 },
		Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, &dials
}

// TestRedisRests checks that a Redis that failed several times in a row is not asked for a
// while.
func TestRedisRests(t *testing.T) {
	t.Parallel()
	l := limit(t, "1000000/1h")
	synctest.Test(t, func(t *testing.T) {
		s, dials := unreachable(t, func() {})
		take := func(calls int) int64 {
			t.Helper()
			before := dials.Load()
			for range calls {
				if r, err := s.Take(t.Context(), "key", l, 1); err != nil || r.Allowed != 1 {
					t.Errorf("Take = %+v, %v, want one permit", r, err)
				}
			}
			return dials.Load() - before
		}
		if got := take(100); got != 3 {
			t.Errorf("Redis was asked %d times in 100 calls, want 3", got)
		}
		time.Sleep(time.Second)
		if got := take(100); got != 1 {
			t.Errorf("Redis was asked %d times in 100 calls after a rest, want once", got)
		}
	})
}

// TestPanicReleasesTheBreaker checks that Redis is asked again after a call that panicked,
// when it was the one call that tested Redis.
func TestPanicReleasesTheBreaker(t *testing.T) {
	t.Parallel()
	l := limit(t, "1000000/1h")
	synctest.Test(t, func(t *testing.T) {
		fault := false
		s, dials := unreachable(t, func() {
			if fault {
				panic("in a call")
			}
		})
		take := func() {
			defer func() { _ = recover() }()
			_, _ = s.Take(t.Context(), "key", l, 1)
		}
		for range 3 {
			take()
		}
		time.Sleep(time.Second)
		fault = true
		take()
		time.Sleep(time.Second)
		before := dials.Load()
		if take(); dials.Load() == before {
			t.Error("Redis is not asked after a call that panicked")
		}
	})
}

// TestRedisAway checks that each node keeps its part of the limit while Redis is
// unreachable, and that nodes share the limit again afterwards.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	all, shared := newNodes(t)
	l := limit(t, "120/1h")
	if err := shared.Kill(); err != nil {
		t.Fatal(err)
	}
	if got, _ := takeAll(t, all, "away", l, 60, 0); got != 120 {
		t.Errorf("%d nodes without Redis were allowed %d, want 40 each", nodes, got)
	}
	if err := shared.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, s := range all {
		testenv.Await(t, fmt.Sprintf("node %d to use Redis again", i), func() bool {
			r, err := s.Take(t.Context(), "back", l, 0)
			return err == nil && r.Remaining == 120
		})
	}
	if got, _ := takeAll(t, all, "back", l, 60, 0); got != 120 {
		t.Errorf("%d nodes with Redis again were allowed %d, want 120 together", nodes, got)
	}
}
