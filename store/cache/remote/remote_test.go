//go:build unix

package remote_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/remote"
)

// The client retries an unreachable server every second, also once after it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// patient is a timeout for tests that do not test timeouts.
const patient = 10 * time.Second

func open(t *testing.T, url string, timeout time.Duration) *remote.Cache {
	t.Helper()
	c, err := remote.New(remote.Options{
		URL: url, Timeout: timeout, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("New = %v, want nil", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
	})
	return c
}

func connect(t *testing.T, s *testenv.Redis) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func link(code string, version int64) store.Link {
	at := time.UnixMicro(1_590_000_000_000_001).UTC() // older than freshFor
	return store.Link{
		Code: code, URL: fmt.Sprintf("https://example.com/%s/%d", code, version), Status: 302, Version: version,
		CreatedAt: at, UpdatedAt: at,
	}
}

// lookup returns the stored version, 0 if there is none, and the lease.
func lookup(t *testing.T, c *remote.Cache, code string) (version int64, lease uint64) {
	t.Helper()
	l, found, lease, err := c.Lookup(t.Context(), code)
	if err != nil {
		t.Fatalf("Lookup(%q) = %v, want nil", code, err)
	}
	if found && l.Code != code {
		t.Fatalf("Lookup(%q) = a link with code %q", code, l.Code)
	}
	return l.Version, lease
}

// create puts a new link, and succeeds on a busy machine, too.
func create(t *testing.T, c *remote.Cache, l store.Link) error {
	t.Helper()
	return c.Put(t.Context(), l, time.Now().Add(time.Hour))
}

func invalidate(t *testing.T, c *remote.Cache, links ...store.Link) {
	t.Helper()
	edits := make([]store.Edit, len(links))
	for i, l := range links {
		edits[i].Link = l
	}
	if err := errors.Join(c.Invalidate(t.Context(), edits)...); err != nil {
		t.Fatalf("Invalidate = %v, want nil", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := remote.New(remote.Options{URL: "http://x", TTL: -1, FreshTTL: -1, Timeout: -1, MaxBatch: -1})
	if err == nil {
		t.Fatal("New = nil, want an error")
	}
	for _, field := range []string{"URL", "Registerer", "Logger", "TTL", "FreshTTL", "Timeout", "MaxBatch"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("New = %v, want it to name %s", err, field)
		}
	}
}

// TestLifetimesDiffer stores many links by each method. Each link must live as long as
// its method promises, ±10 %, and the links must not expire together.
func TestLifetimesDiffer(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, server.URL(), patient), connect(t, server)
	const links = 100
	for _, tt := range []struct {
		name string
		keep func(l store.Link)
		want time.Duration
	}{
		{"fill", func(l store.Link) {
			_, lease := lookup(t, c, l.Code)
			must(t, c.Fill(t.Context(), l, lease))
		}, remote.DefaultTTL},
		{"put", func(l store.Link) { must(t, create(t, c, l)) }, remote.DefaultFreshTTL},
		{"announce", func(l store.Link) {
			must(t, create(t, c, l))
			l.Version++
			must(t, c.Announce(t.Context(), l))
		}, remote.DefaultTTL},
		{"invalidate", func(l store.Link) {
			must(t, create(t, c, l))
			l.Version++
			invalidate(t, c, l)
		}, remote.DefaultTTL},
		{"fill of a recently edited link", func(l store.Link) {
			_, lease := lookup(t, c, l.Code)
			l.UpdatedAt = time.Now().Add(-59 * time.Minute)
			must(t, c.Fill(t.Context(), l, lease))
		}, remote.DefaultFreshTTL},
		{"invalidate after an edit", func(l store.Link) {
			must(t, create(t, c, l))
			l.Version++
			l.UpdatedAt = time.Now()
			invalidate(t, c, l)
		}, remote.DefaultFreshTTL},
	} {
		began := time.Now()
		lifetimes := map[time.Duration]bool{}
		shortest, longest := time.Duration(1<<62), time.Duration(0)
		for i := range links {
			l := link(fmt.Sprintf("%s-%d", tt.name, i), 1)
			tt.keep(l)
			left, err := client.PTTL(t.Context(), remote.Key(l.Code)).Result()
			must(t, err)
			if least, most := tt.want*9/10-time.Since(began), tt.want*11/10; left < least || left > most {
				t.Errorf("%s: a link lives %v, want %v to %v", tt.name, left, least, most)
			}
			lifetimes[left] = true
			shortest, longest = min(shortest, left), max(longest, left)
		}
		if len(lifetimes) < links/2 || longest-shortest < tt.want/10 {
			t.Errorf("%s: %d links have %d lifetimes, from %v to %v, want a range of about a fifth of %v",
				tt.name, links, len(lifetimes), shortest, longest, tt.want)
		}
	}
}

// TestWhatIsKept checks what Redis has after sequences of calls.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	c := open(t, testenv.NewRedis(t, testenv.RedisOptions{}).URL(), patient)
	put := func(v int64) func(t *testing.T, code string) {
		return func(t *testing.T, code string) { must(t, create(t, c, link(code, v))) }
	}
	late := func(t *testing.T, code string) {
		must(t, c.Put(t.Context(), link(code, 1), c.Begin(t.Context()).Add(-2*time.Second)))
	}
	undated := func(t *testing.T, code string) { must(t, c.Put(t.Context(), link(code, 1), time.Time{})) }
	edit := func(v int64) func(t *testing.T, code string) {
		return func(t *testing.T, code string) { invalidate(t, c, link(code, v)) }
	}
	fill := func(v int64) func(t *testing.T, code string) {
		return func(t *testing.T, code string) {
			_, lease := lookup(t, c, code)
			must(t, c.Fill(t.Context(), link(code, v), lease))
		}
	}
	replace := func(v int64) func(t *testing.T, code string) {
		return func(t *testing.T, code string) { must(t, c.Fill(t.Context(), link(code, v), 0)) }
	}
	other := func(v int64) func(t *testing.T, code string) {
		return func(t *testing.T, code string) {
			l := link(code, v)
			l.URL = "https://example.com/after-a-failover"
			invalidate(t, c, l)
		}
	}
	type steps []func(t *testing.T, code string)
	for _, tt := range []struct {
		name  string
		steps steps
		want  int64
		lease bool
	}{
		{"nothing", nil, 0, true},
		{"a create", steps{put(1)}, 1, false},
		{"a reader's fill", steps{fill(3)}, 3, false},
		{"an edit of a stored link", steps{put(1), edit(2)}, 2, false},
		{"an edit after a newer edit", steps{put(1), edit(3), edit(2)}, 3, false},
		{"an edit announced twice", steps{put(1), edit(2), edit(2)}, 2, false},
		{"an edit that contradicts the stored link", steps{put(1), edit(2), other(2)}, 0, false},
		{"an edit announced again after a contradiction", steps{put(1), edit(2), other(2), edit(2)}, 0, false},
		{"an edit of a link that is not stored", steps{edit(2)}, 0, false},
		{"a create that took too long", steps{late}, 0, false},
		{"a create that took too long, of an edited link", steps{put(1), edit(2), late}, 2, false},
		{"a create that began at an unknown time", steps{undated}, 0, false},
		{"a create after an edit", steps{edit(2), put(1)}, 0, false},
		{"a create after a fill", steps{fill(2), put(1)}, 2, false},
		{"a fill without a lease", steps{replace(2)}, 0, true},
		{"a fill without a lease over an older link", steps{put(1), replace(2)}, 2, false},
		{"a fill without a lease over a newer link", steps{fill(3), replace(2)}, 3, false},
		{"a fill without a lease over an edit", steps{edit(3), replace(2)}, 0, false},
		{"a version beyond 32 bits", steps{put(1 << 40), edit(1<<40 - 1)}, 1 << 40, false},
		{"a version beyond 32 bits, higher", steps{put(1 << 40), edit(1<<40 + 1)}, 1<<40 + 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code := strings.ReplaceAll(tt.name, " ", "-")
			code = strings.ReplaceAll(strings.ReplaceAll(code, "'", ""), ",", "")
			for _, step := range tt.steps {
				step(t, code)
			}
			if got, lease := lookup(t, c, code); got != tt.want || (lease != 0) != tt.lease {
				t.Errorf("Lookup = version %d, lease %d, want version %d, a lease: %v", got, lease, tt.want, tt.lease)
			}
		})
	}
}

// TestEqualVersionStays checks that a fill without a lease does not replace another link
// of the same version. After a failover it is unknown which one of the two was lost.
func TestEqualVersionStays(t *testing.T) {
	t.Parallel()
	c := open(t, testenv.NewRedis(t, testenv.RedisOptions{}).URL(), patient)
	kept, other := link("abc", 2), link("abc", 2)
	other.URL = "https://example.com/after-a-failover"
	_, lease := lookup(t, c, kept.Code)
	must(t, c.Fill(t.Context(), kept, lease))
	must(t, c.Fill(t.Context(), other, 0))
	if got, found, _, err := c.Lookup(t.Context(), kept.Code); err != nil || !found || got.URL != kept.URL {
		t.Errorf("Lookup after a fill of the same version = %q, %v, %v, want %q", got.URL, found, err, kept.URL)
	}
}

// TestSlowReaderBringsNothingBack checks that a fill stores nothing after any other
// change of the key, even if Redis has evicted that change.
func TestSlowReaderBringsNothingBack(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, s.URL(), patient), connect(t, s)
	evict := func(code string) { must(t, client.Del(t.Context(), remote.Key(code)).Err()) }
	for _, tt := range []struct {
		name string
		then func(code string)
	}{
		{"edited", func(code string) { invalidate(t, c, link(code, 2)) }},
		{"edited-and-evicted", func(code string) { invalidate(t, c, link(code, 2)); evict(code) }},
		{"evicted", evict},
		{"flushed", func(string) { must(t, client.FlushAll(t.Context()).Err()) }},
		{"evicted-and-leased-again", func(code string) { evict(code); lookup(t, c, code) }},
	} {
		version, lease := lookup(t, c, tt.name)
		if version != 0 || lease == 0 {
			t.Fatalf("%s: Lookup = version %d, lease %d, want a lease", tt.name, version, lease)
		}
		if _, other := lookup(t, c, tt.name); other != 0 {
			t.Errorf("%s: a second reader got a lease", tt.name)
		}
		tt.then(tt.name)
		must(t, c.Fill(t.Context(), link(tt.name, 1), lease))
		if got, _ := lookup(t, c, tt.name); got != 0 {
			t.Errorf("%s: version %d is stored, want none", tt.name, got)
		}
	}
}

// TestLateCreates checks that Redis does not store a create that arrives too late,
// wherever the delay was.
func TestLateCreates(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, s.URL(), patient), connect(t, s)
	began := c.Begin(t.Context())
	if off := time.Since(began).Abs(); began.IsZero() || off > patient {
		t.Fatalf("Begin = %v, which differs by %v", began, off)
	}
	must(t, client.Do(t.Context(), "client", "pause", 1500).Err())
	must(t, c.Put(t.Context(), link("abc", 1), began))
	if got, lease := lookup(t, c, "abc"); got != 0 || lease != 0 {
		t.Errorf("Lookup after a late create = version %d, lease %d, want 0 and 0", got, lease)
	}
}

// TestFirstCreates checks that the first creates of a process are stored, even if they are
// concurrent.
func TestFirstCreates(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, s.URL(), patient), connect(t, s)
	must(t, client.Do(t.Context(), "client", "pause", 200).Err()) // so that all creates share one question
	var crowd sync.WaitGroup
	for range 16 {
		crowd.Go(func() {
			if c.Begin(t.Context()).IsZero() {
				t.Error("concurrent Begin = the zero time, want the time of Redis")
			}
		})
	}
	crowd.Wait()
}

func TestEverythingExpires(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, s.URL(), patient), connect(t, s)
	must(t, create(t, c, link("created", 1)))
	_, lease := lookup(t, c, "filled")
	must(t, c.Fill(t.Context(), link("filled", 1), lease))
	invalidate(t, c, link("marked", 2))
	lookup(t, c, "leased")
	must(t, create(t, c, link("edited", 1)))
	invalidate(t, c, link("edited", 2))
	for code, most := range map[string]time.Duration{
		"created": remote.DefaultFreshTTL, "filled": remote.DefaultTTL, "edited": remote.DefaultTTL,
		"marked": 3 * time.Second, "leased": 3 * time.Second,
	} {
		left := client.PTTL(t.Context(), remote.Key(code)).Val()
		if left <= 0 || left > most*11/10 || left < most/2 {
			t.Errorf("%s expires in %v, want about %v", code, left, most)
		}
	}
	if n := client.DBSize(t.Context()).Val(); n != 5 {
		t.Errorf("Redis has %d keys, want 5", n)
	}
}

// TestScriptsThatRedisForgot checks that a restart of Redis fails no write.
func TestScriptsThatRedisForgot(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, s.URL(), patient), connect(t, s)
	for i := range int64(3) {
		must(t, client.ScriptFlush(t.Context()).Err())
		code := fmt.Sprint("code", i)
		must(t, create(t, c, link(code, 1)))
		invalidate(t, c, link(code, 2))
		if got, _ := lookup(t, c, code); got != 2 {
			t.Errorf("version of %s = %d, want 2", code, got)
		}
	}
}

func TestValuesOfOthers(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, s.URL(), patient), connect(t, s)
	must(t, client.Set(t.Context(), remote.Key("text"), "what is this", 0).Err())
	must(t, client.LPush(t.Context(), remote.Key("list"), "a", "b").Err())
	must(t, create(t, c, link("moved", 1)))
	must(t, client.Rename(t.Context(), remote.Key("moved"), remote.Key("other")).Err())
	for _, code := range []string{"text", "other"} {
		if got, lease := lookup(t, c, code); got != 0 || lease != 0 {
			t.Errorf("Lookup(%q) = version %d, lease %d, want 0 and 0", code, got, lease)
		}
	}
	for range 5 { // must not open the breaker
		if _, found, _, err := c.Lookup(t.Context(), "list"); found || err == nil {
			t.Errorf("Lookup(list) = %v, %v, want an error", found, err)
		}
	}
	must(t, create(t, c, link("fine", 1)))
}

func TestEachCallerGetsItsOwn(t *testing.T) {
	t.Parallel()
	c := open(t, testenv.NewRedis(t, testenv.RedisOptions{}).URL(), patient)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 100 {
				code := fmt.Sprintf("w%d-%d", worker, i)
				if err := create(t, c, link(code, int64(i+1))); err != nil {
					t.Errorf("Put = %v", err)
				}
				if l, found, _, err := c.Lookup(t.Context(), code); err != nil || !found || l.Code != code || l.Version != int64(i+1) {
					t.Errorf("Lookup(%q) = %+v, %v, %v", code, l, found, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestAway checks that few calls wait for a killed or frozen Redis, and that it is used again
// by itself.
func TestAway(t *testing.T) {
	t.Parallel()
	const timeout = 50 * time.Millisecond
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c := open(t, s.URL(), timeout)
	must(t, create(t, c, link("abc", 1)))
	for _, fault := range []struct {
		name       string
		make, heal func() error
	}{
		{"killed", s.Kill, func() error { return s.Start(t.Context()) }},
		{"frozen", s.Freeze, s.Thaw},
	} {
		must(t, fault.make())
		began, asked := time.Now(), 0
		for range 50 {
			_, _, _, err := c.Lookup(t.Context(), "abc")
			if !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("%s: Lookup = %v, want ErrUnavailable", fault.name, err)
			}
			if !strings.Contains(err.Error(), "the next attempt follows soon") {
				asked++
			}
		}
		// After three failures in a row one call asks Redis after each pause of at least 350 ms.
		if most := 3 + int(time.Since(began)/(350*time.Millisecond)); asked > most {
			t.Errorf("%s: %d of 50 calls asked Redis, want %d at most", fault.name, asked, most)
		}
		must(t, fault.heal())
		testenv.Await(t, "Redis to be used again", func() bool { return create(t, c, link("abc", 1)) == nil })
		testenv.Await(t, "version 1 after "+fault.name, func() bool {
			l, _, _, err := c.Lookup(t.Context(), "abc") // may still time out on a busy machine
			return err == nil && l.Version == 1
		})
	}
}

// TestRefused checks that a Redis that rejects connections opens the breaker, like an
// unreachable Redis.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{Settings: map[string]string{"databases": "1"}})
	must(t, connect(t, s).Do(t.Context(), "ACL", "SETUSER", "visitor", "on", ">right", "~*", "&*", "+@all").Err())
	for name, url := range map[string]string{
		"no such database": "redis://" + s.Addr() + "/1",
		"a wrong password": "redis://visitor:wrong@" + s.Addr(),
		"no such user":     "redis://nobody:right@" + s.Addr(),
	} {
		reg := prometheus.NewRegistry()
		c, err := remote.New(remote.Options{URL: url, Timeout: patient, Registerer: reg, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		t.Cleanup(func() { must(t, c.Close()) })
		for range 10 {
			if _, _, _, err := c.Lookup(t.Context(), "abc"); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: Lookup = %v, want ErrUnavailable", name, err)
			}
		}
		if got := breakerOpen(t, reg); got != 1 {
			t.Errorf("%s: terse_redis_breaker_open = %v, want 1", name, got)
		}
	}
	lookup(t, open(t, "redis://visitor:right@"+s.Addr(), patient), "abc")
}

// TestRefusedAnnouncements checks that Invalidate fails if the publish fails, whether or not
// Redis knew the script.
func TestRefusedAnnouncements(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	client := connect(t, s)
	must(t, client.Do(t.Context(), "ACL", "SETUSER", "mute", "on", ">right", "~*", "&*", "+@all", "-publish").Err())
	c := open(t, "redis://mute:right@"+s.Addr(), patient)
	for _, known := range []bool{false, true} {
		if err := c.Invalidate(t.Context(), []store.Edit{{Link: link("abc", 2)}})[0]; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Invalidate with a known script (%v) and a rejected publish = %v, want ErrUnavailable", known, err)
		}
	}
	must(t, client.Do(t.Context(), "ACL", "SETUSER", "mute", "+publish").Err())
	invalidate(t, c, link("abc", 2))
}

// TestFull checks that a Redis that accepts no writes is still read, and that a Redis
// that evicts is still used.
func TestFull(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c, client := open(t, s.URL(), patient), connect(t, s)
	must(t, create(t, c, link("kept", 1)))
	must(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	for range 5 {
		if got, _ := lookup(t, c, "kept"); got != 1 {
			t.Errorf("version in a full Redis = %d, want 1", got)
		}
		if got, lease := lookup(t, c, "other"); got != 0 || lease != 0 {
			t.Errorf("Lookup in a full Redis = version %d, lease %d, want 0 and 0", got, lease)
		}
		if err := create(t, c, link("new", 1)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Put in a full Redis = %v, want ErrUnavailable", err)
		}
	}
	if err := c.Invalidate(t.Context(), []store.Edit{{Link: link("kept", 2)}})[0]; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Invalidate in a full Redis = %v, want ErrUnavailable, so that the outbox retries", err)
	}
	if got, _ := lookup(t, c, "kept"); got != 0 {
		t.Errorf("version after an edit in a full Redis = %d, want none", got)
	}
	must(t, client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	must(t, client.ConfigSet(t.Context(), "maxmemory", "100mb").Err())
	must(t, create(t, c, link("new", 1)))
}

func TestCallersThatLeave(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	c := open(t, s.URL(), patient)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		if _, _, _, err := c.Lookup(ctx, "abc"); !errors.Is(err, context.Canceled) {
			t.Errorf("Lookup = %v, want context.Canceled", err)
		}
	}
	lookup(t, c, "abc") // the breaker is closed
}

func TestAnnouncements(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	one, other, client := open(t, s.URL(), patient), open(t, s.URL(), patient), connect(t, s)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var heard []store.Link
	missed := 0
	var listening sync.WaitGroup
	listening.Go(func() {
		other.Listen(ctx, func(l store.Link) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, l)
		}, func() {
			mu.Lock()
			defer mu.Unlock()
			missed++
		})
	})
	count := func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return len(heard), missed
	}
	testenv.Await(t, "the channel", func() bool { _, m := count(); return m == 1 && other.Hears() })
	if one.Hears() {
		t.Error("Hears without Listen = true, want false")
	}

	must(t, client.Publish(t.Context(), "terse:1:edits@0", "garbage").Err())
	invalidate(t, one, link("a", 2), link("b", 3))
	testenv.Await(t, "two announcements", func() bool { n, _ := count(); return n == 2 })
	testenv.Await(t, "the listening processes to be counted", func() bool { return other.Nodes() == 1 && one.Nodes() == 1 })

	if n, err := client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result(); err != nil || n != 1 {
		t.Fatalf("killed %d connections, %v, want 1", n, err)
	}
	testenv.Await(t, "the channel to be back", func() bool { _, m := count(); return m == 2 })
	invalidate(t, one, link("c", 2))
	testenv.Await(t, "another announcement", func() bool { n, _ := count(); return n >= 3 })

	must(t, s.Freeze()) // longer than silence
	testenv.Await(t, "Hears to be false", func() bool { return !other.Hears() })
	must(t, s.Thaw())
	testenv.Await(t, "the channel to be back", func() bool { _, m := count(); return m >= 3 })
	testenv.Await(t, "an announcement after the thaw", func() bool {
		invalidate(t, one, link("d", 2))
		n, _ := count()
		return n >= 4
	})
	testenv.Await(t, "Hears to be true", other.Hears)
	stop()
	listening.Wait()
	if other.Hears() {
		t.Error("Hears after Listen has returned = true, want false")
	}
}

// TestDatabasesAreApart checks that processes in different databases of one server do not
// share links or announcements, because their links may have the same codes.
func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	one, other := open(t, s.URL(), patient), open(t, "redis://"+s.Addr()+"/1", patient)
	ctx, stop := context.WithCancel(t.Context())
	heard, begun := make(chan store.Link, 10), make(chan struct{}, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		other.Listen(ctx, func(l store.Link) { heard <- l }, func() { begun <- struct{}{} })
	}()
	<-begun
	must(t, create(t, one, link("abc", 1)))
	invalidate(t, one, link("abc", 2))
	if got, _ := lookup(t, other, "abc"); got != 0 {
		t.Errorf("another database has version %d, want none", got)
	}
	invalidate(t, other, link("own", 2)) // announcements arrive in order
	if l := <-heard; l.Code != "own" {
		t.Errorf("received an edit of %s, want only the edit of own", l.Code)
	}
	stop()
	<-done
}

// breakerOpen returns terse_redis_breaker_open.
func breakerOpen(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "terse_redis_breaker_open" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no terse_redis_breaker_open")
	return 0
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, right := range []string{
		"", "redis://localhost", "redis://localhost:6379/3", "rediss://:secret@redis.example:6380", "redis://user:p%40ss@[::1]:6379/0",
		"redis-sentinel://a,b:26380/master", "redis-sentinel://:pw@a/master/2",
		"redis-sentinel://a/master?sentinel_password=a%26b", "rediss-sentinel://:pw@a/master/2?sentinel_password=pw", "rediss-cluster://a:1,b:2,c:3",
	} {
		if err := remote.CheckURL(right); err != nil {
			t.Errorf("CheckURL(%q) = %v, want nil", right, err)
		}
	}
	for _, wrong := range []string{
		"localhost:6379", "http://localhost", "redis-other://localhost", "redis://", "redis://a,b", "redis://localhost/x", "redis://localhost/999",
		"redis://localhost?dial_timeout=3s", "redis://localhost/0?x=1", "redis://localhost:port", "redis-cluster://a/1", "redis-sentinel://a", "redis://secret@x@y",
		"redis://u:%zz@host", "redis://a b", "redis://a?sentinel_password=secret", "redis-cluster://a?sentinel_password=secret",
		"redis-sentinel://a/m?sentinel_password=", "redis-sentinel://a/m?sentinel_password=%zz", "redis-sentinel://a/m?password=secret",
		"redis-sentinel://a/m?sentinel_password=secret&x=1", "redis-sentinel://a/m?sentinel_password=secret#x", "redis-sentinel://a/m#secret", "redis-sentinel://a/m?",
	} {
		err := remote.CheckURL(wrong)
		if err == nil {
			t.Errorf("CheckURL(%q) = nil, want an error", wrong)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("CheckURL(%q) = %v, which contains a secret", wrong, err)
		}
	}
}
