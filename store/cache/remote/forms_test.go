//go:build unix

package remote_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/remote"
)

// wantUse checks that all functions work with a Redis of any form.
func wantUse(t *testing.T, c *remote.Cache) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var heard, missed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Listen(ctx, func(store.Link) { heard.Add(1) }, func() { missed.Add(1) })
	}()
	testenv.Await(t, "the channel", func() bool { return missed.Load() > 0 })
	if c.Begin(ctx).IsZero() {
		t.Error("Begin = the zero time, want the time of Redis")
	}
	for i := range 20 {
		code := fmt.Sprint("code", i)
		must(t, create(t, c, link(code, 1)))
		invalidate(t, c, link(code, 2))
		if got, _ := lookup(t, c, code); got != 2 {
			t.Errorf("version of %s = %d, want 2", code, got)
		}
		other := fmt.Sprint("other", i)
		_, lease := lookup(t, c, other)
		must(t, c.Fill(t.Context(), link(other, 1), lease))
		if got, _ := lookup(t, c, other); got != 1 {
			t.Errorf("version of %s = %d, want 1", other, got)
		}
	}
	testenv.Await(t, "announcements", func() bool {
		if heard.Load() >= 20 {
			return true
		}
		invalidate(t, c, link("again", 2)) // the nodes of a cluster may not be connected yet
		return false
	})
	stop()
	<-done
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{TLS: true})
	opts := remote.Options{
		URL: s.URL(), Timeout: patient, RootCAs: s.RootCAs(), Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	}
	c, err := remote.New(opts)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	wantUse(t, c)
	if _, _, _, err := open(t, s.URL(), patient).Lookup(t.Context(), "abc"); err == nil {
		t.Error("a certificate of an unknown authority is accepted")
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	masters := make([]*testenv.Redis, 3)
	for i := range masters {
		masters[i] = testenv.NewRedis(t, testenv.RedisOptions{Cluster: true})
	}
	must(t, testenv.JoinRedis(t.Context(), masters...))
	wantUse(t, open(t, masters[1].URL(), patient))
}

// TestClusterFailover checks that a Cache recovers by itself, for all keys, when a master of a
// cluster dies and its replica replaces it.
func TestClusterFailover(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	servant := testenv.RedisOptions{Cluster: true, Settings: map[string]string{"cluster-node-timeout": "1000", "repl-diskless-sync-delay": "0"}}
	masters := make([]*testenv.Redis, 3)
	for i := range masters {
		masters[i] = testenv.NewRedis(t, servant)
	}
	must(t, testenv.JoinRedis(t.Context(), masters...))
	slot, err := connect(t, masters[0]).ClusterKeySlot(t.Context(), "terse:1:edits@0").Result()
	must(t, err)
	owner := int(slot) * len(masters) / 16384 // the master of the channel is not the one that is killed
	masters[owner], masters[2] = masters[2], masters[owner]
	must(t, testenv.FollowRedis(t.Context(), testenv.NewRedis(t, servant), masters...))
	missed := make(chan time.Time, 10)
	c, err := remote.New(remote.Options{
		URL: masters[0].URL() + "," + masters[1].Addr(), Timeout: time.Second, Missed: func(since time.Time) { missed <- since },
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		c.Listen(ctx, func(store.Link) {}, func() {})
	}()
	<-missed // the first connection
	wantUse(t, c)
	must(t, masters[0].Kill())
	began := time.Now()
	testenv.Await(t, "writes to all keys to succeed", func() bool {
		for i := range 20 {
			if create(t, c, link(fmt.Sprint("after", i), 1)) != nil {
				return false
			}
		}
		return true
	})
	t.Logf("writes succeeded again %v after a master was killed", time.Since(began))
	for since := range missed {
		if since.After(began) {
			break
		}
	}
	wantUse(t, c)
	stop()
	<-listening
}

// TestSentinel checks that a Cache recovers from a failover by itself.
func TestSentinel(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	master := testenv.NewRedis(t, testenv.RedisOptions{})
	host, port, err := net.SplitHostPort(master.Addr())
	must(t, err)
	testenv.NewRedis(t, testenv.RedisOptions{Settings: map[string]string{"replicaof": host + " " + port}})
	sentinel := testenv.NewRedis(t, testenv.RedisOptions{Watches: master})
	c := open(t, sentinel.URL(), time.Second)
	wantUse(t, c)
	client := connect(t, master)
	testenv.Await(t, "the replica to connect", func() bool {
		return client.Do(t.Context(), "WAIT", 1, 100).Val() == int64(1)
	})
	testenv.Await(t, "the sentinel to know the replica", func() bool {
		known, err := connect(t, sentinel).Do(t.Context(), "SENTINEL", "REPLICAS", testenv.WatchedName).Slice()
		return err == nil && len(known) == 1
	})
	must(t, master.Kill())
	took := time.Now()
	testenv.Await(t, "the promoted replica to be used", func() bool { return create(t, c, link("after", 1)) == nil })
	t.Logf("writes succeeded again %v after the master was killed", time.Since(took))
	wantUse(t, c)
}

// TestSentinelPassword checks that a Cache finds the master through sentinels that require a
// password, and not without the password.
func TestSentinelPassword(t *testing.T) {
	t.Parallel()
	const password = "p&ss word"
	sentinel := testenv.NewRedis(t, testenv.RedisOptions{Watches: testenv.NewRedis(t, testenv.RedisOptions{})})
	must(t, connect(t, sentinel).Do(t.Context(), "ACL", "SETUSER", "default", "resetpass", ">"+password).Err())
	for name, tt := range map[string]struct {
		parameter string
		works     bool
	}{
		"right": {"?sentinel_password=p%26ss%20word", true},
		"wrong": {"?sentinel_password=wrong", false},
		"none":  {"", false},
	} {
		c := open(t, sentinel.URL()+tt.parameter, time.Second)
		if err := create(t, c, link(name, 1)); (err == nil) != tt.works {
			t.Errorf("a write with the password %s = %v, want success: %t", name, err, tt.works)
		}
	}
}

// TestMissed checks the argument of Options.Missed at the first connection and after each lost
// connection: the moment since which announcements were not received.
func TestMissed(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	missed := make(chan time.Time, 10)
	c, err := remote.New(remote.Options{
		URL: s.URL(), Timeout: patient, Missed: func(since time.Time) { missed <- since },
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		c.Listen(ctx, func(store.Link) {}, func() {})
	}()
	first := <-missed
	if first.Before(start) || first.After(time.Now()) {
		t.Errorf("Missed at the first connection = %v, want a time after %v", first, start)
	}
	testenv.Await(t, "the channel", c.Hears)
	up := time.Now()
	must(t, s.Kill())
	testenv.Await(t, "Hears to be false", func() bool { return !c.Hears() })
	lost := time.Now()
	must(t, s.Start(t.Context()))
	if second := <-missed; second.Before(up) || second.After(lost) {
		t.Errorf("Missed after a loss = %v, want a time between %v and %v", second, up, lost)
	}
	stop()
	<-done
}
