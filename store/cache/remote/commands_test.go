//go:build unix

package remote_test

import (
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store/cache/remote"
)

// TestCommands checks that the cache uses no command that is slower the more keys Redis
// has, and no command that deletes keys of other users.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	client := connect(t, s)
	before := commands(t, client)
	wantUse(t, open(t, s.URL(), patient))
	harmless := []string{
		"get", "mget", "set", "setnx", "eval", "evalsha", "publish", "subscribe", "unsubscribe", "ping", "pubsub|numsub",
		"time", "hello", "client|setname", "client|setinfo", "select", "info", "config|get",
	}
	after := commands(t, client)
	for name, calls := range after {
		if calls > before[name] && !slices.Contains(harmless, name) {
			t.Errorf("Redis was asked %d times for %s", calls-before[name], name)
		}
	}
	if after["evalsha"] == 0 {
		t.Errorf("commands = %v, want scripts among them", slices.Sorted(maps.Keys(after)))
	}
}

// TestCallsShareRoundTrips checks that many concurrent calls need few round trips.
func TestCallsShareRoundTrips(t *testing.T) {
	t.Parallel()
	const callers = 400
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	reg := prometheus.NewRegistry()
	c, err := remote.New(remote.Options{URL: s.URL(), Timeout: patient, Registerer: reg, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	client := connect(t, s)
	together := func(do func(code string) error) {
		must(t, client.Do(t.Context(), "client", "pause", 500).Err()) // so that the calls wait together
		var crowd sync.WaitGroup
		for i := range callers {
			crowd.Go(func() {
				if err := do(fmt.Sprint("code", i)); err != nil {
					t.Error(err)
				}
			})
		}
		crowd.Wait()
	}
	together(func(code string) error { return create(t, c, link(code, 1)) })
	together(func(code string) error {
		_, found, _, err := c.Lookup(t.Context(), code)
		if err == nil && !found {
			err = fmt.Errorf("Lookup(%q) finds nothing", code)
		}
		return err
	})
	for _, op := range []string{"write", "get"} {
		if n := roundTrips(t, reg, op); n == 0 || n > callers/4 {
			t.Errorf("%d calls of %s took %d round trips, want few", callers, op, n)
		}
	}
}

// commands returns how often each command was sent to a Redis.
func commands(t *testing.T, client *redis.Client) map[string]int {
	t.Helper()
	stats, err := client.Info(t.Context(), "commandstats").Result()
	must(t, err)
	all := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^cmdstat_(\S+):calls=(\d+),`).FindAllStringSubmatch(stats, -1) {
		all[m[1]], err = strconv.Atoi(m[2])
		must(t, err)
	}
	return all
}

// roundTrips returns the number of round trips of one kind.
func roundTrips(t *testing.T, reg *prometheus.Registry, op string) uint64 {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "terse_redis_flight_duration_seconds" && m.GetLabel()[0].GetValue() == op {
				return m.GetHistogram().GetSampleCount()
			}
		}
	}
	return 0
}
