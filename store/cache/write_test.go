package cache_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

func TestWritesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	m := newMemory()
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour})
	if _, err := c.Resolve(t.Context(), "abc"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Resolve = %v, want ErrNotFound", err)
	}
	limited := link("abc", 0)
	limited.MaxClicks = 2
	now := time.UnixMicro(1_800_000_000_000_000).UTC()
	for _, step := range []struct {
		name  string
		write func() (store.Link, error)
		err   error
	}{
		{"create", func() (store.Link, error) { return c.Create(t.Context(), limited) }, nil},
		{"consume", func() (store.Link, error) { return c.Consume(t.Context(), "abc", now) }, nil},
		{"consume the last", func() (store.Link, error) { return c.Consume(t.Context(), "abc", now) }, nil},
		{"consume too many", func() (store.Link, error) { return c.Consume(t.Context(), "abc", now) }, store.ErrNotLive},
		{"update", func() (store.Link, error) { return c.Update(t.Context(), limited) }, nil},
		{"delete", func() (store.Link, error) { return c.Delete(t.Context(), "abc", 0, now) }, nil},
	} {
		want, err := step.write()
		if !errors.Is(err, step.err) {
			t.Fatalf("%s = %v, want %v", step.name, err, step.err)
		}
		got := mustResolve(t, c, "abc")
		if got.Version != want.Version || got.UsedClicks != want.UsedClicks || got.URL != want.URL {
			t.Errorf("Resolve after %s = %+v, want %+v", step.name, got, want)
		}
	}
	if got := m.reads.Load(); got != 1 {
		t.Errorf("reads = %d, want 1: writes put their result in L1", got)
	}
}

func TestWriteWithUnknownOutcome(t *testing.T) {
	t.Parallel()
	m := newMemory(link("abc", 1))
	m.lostWrite = true
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour})
	mustResolve(t, c, "abc")
	if _, err := c.Update(t.Context(), link("abc", 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("Update = %v, want ErrUnavailable", err)
	}
	if got := mustResolve(t, c, "abc").Version; got != 2 {
		t.Errorf("version after a write with an unknown outcome = %d, want 2", got)
	}
}

// TestWroteFollowsEveryPossibleEdit checks that Wrote is called after each edit that may have
// succeeded, and only then.
func TestWroteFollowsEveryPossibleEdit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code string
		make func(m *memory, leave context.CancelFunc)
		want int
	}{
		{"done", "abc", func(*memory, context.CancelFunc) {}, 1},
		{"done, without an answer", "abc", func(m *memory, _ context.CancelFunc) { m.lostWrite = true }, 1},
		{"unknown, since the client left", "abc", func(m *memory, leave context.CancelFunc) {
			m.failWith(context.Canceled)
			leave()
		}, 1},
		{"of no link", "none", func(*memory, context.CancelFunc) {}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, called := newMemory(link("abc", 1)), 0
			c := newCache(t, cache.Options{Store: m, Wrote: func() { called++ }})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			tt.make(m, leave)
			_, _ = c.Update(ctx, link(tt.code, 1))
			if called != tt.want {
				t.Errorf("Wrote was called %d times, want %d", called, tt.want)
			}
		})
	}
}

// patient is an L2 that reports calls with a context that has ended.
type patient struct {
	cache.Remote
	t     *testing.T
	calls int
}

func (p *patient) note(ctx context.Context) error {
	p.t.Helper()
	p.calls++
	if err := ctx.Err(); err != nil {
		p.t.Errorf("L2 is called with a context that has ended: %v", err)
	}
	return nil
}

func (p *patient) Begin(context.Context) time.Time                          { return time.Time{} }
func (p *patient) Put(ctx context.Context, _ store.Link, _ time.Time) error { return p.note(ctx) }
func (p *patient) Announce(ctx context.Context, _ store.Link) error         { return p.note(ctx) }

// TestWritesAreSharedAfterTheClientLeft checks that a write is announced even if its
// client has disconnected.
func TestWritesAreSharedAfterTheClientLeft(t *testing.T) {
	t.Parallel()
	p := &patient{t: t}
	c := newCache(t, cache.Options{Store: newMemory(), Remote: p})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := c.Create(ctx, link("abc", 0)); err != nil {
		t.Fatalf("Create = %v, want nil", err)
	}
	if _, err := c.Update(ctx, link("abc", 1)); err != nil {
		t.Fatalf("Update = %v, want nil", err)
	}
	if p.calls != 2 {
		t.Errorf("L2 was called %d times, want 2: for the create and the update", p.calls)
	}
}

func TestUnknownOutcomeKeepsTheStandIn(t *testing.T) {
	t.Parallel()
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour})
	mustResolve(t, c, "abc")
	m.failWith(store.ErrUnavailable)
	if _, err := c.Update(t.Context(), link("abc", 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("Update = %v, want ErrUnavailable", err)
	}
	if got := mustResolve(t, c, "abc").Version; got != 1 {
		t.Errorf("version during the outage = %d, want 1", got)
	}
}

func TestUnknownOutcomeCutsOffLoadsThatRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := newMemory(link("abc", 1))
		m.lostWrite = true
		m.afterRead = func(context.Context) error { <-release; return nil }
		c := newCache(t, cache.Options{Store: m})
		go func() { _, _ = c.Resolve(t.Context(), "abc") }()
		synctest.Wait()
		_, _ = c.Update(t.Context(), link("abc", 1))
		close(release)
		synctest.Wait()
		if got := mustResolve(t, c, "abc").Version; got != 2 {
			t.Errorf("version = %d, want 2: the first load read 1 before the write", got)
		}
		endWorkers()
	})
}

// endWorkers waits until the workers have ended, because a synctest bubble requires it.
// It takes no real time.
func endWorkers() { time.Sleep(time.Second) }

func TestReadersInParallelNeverGoBack(t *testing.T) {
	t.Parallel()
	const edits, readers = 2000, 4
	c := newCache(t, cache.Options{Store: newMemory(link("abc", 1)), TTL: 10 * time.Microsecond})
	var acked atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for range edits {
			l, err := c.Update(t.Context(), link("abc", 0))
			if err != nil {
				t.Errorf("Update = %v", err)
			}
			acked.Store(l.Version)
		}
	})
	for range readers {
		wg.Go(func() {
			for acked.Load() <= edits {
				before := acked.Load()
				if l, err := c.Resolve(t.Context(), "abc"); err != nil || l.Version < before {
					t.Errorf("Resolve = version %d, %v after %d was acknowledged", l.Version, err, before)
				}
			}
		})
	}
	wg.Wait()
}

// TestSchedules runs reads and writes in 10,000 seeded orders. It pauses reads between
// their read of the store and their fill, and writes between their commit and their
// answer. A Resolve must never show an older version than one acknowledged to this
// process before it began.
func TestSchedules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		maxBytes int64
		seeds    uint64
	}{
		{"roomy", 1 << 20, 5000},
		{"nothing stays in L1", 1, 5000}, // the guard must work without the entry
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for seed := range tt.seeds {
					newSchedule(t, seed, tt.maxBytes).run(30)
				}
				endWorkers()
			})
		})
	}
}

// schedule is one order of events for one code. It runs in a synctest bubble, so that its
// steps are deterministic.
type schedule struct {
	t      *testing.T
	seed   uint64
	rand   *rand.Rand
	clock  fakeClock
	under  *memory
	cache  *cache.Cache
	paused []chan error // operations paused in the store
	acked  int64        // the newest version that a write has returned
}

func newSchedule(t *testing.T, seed uint64, maxBytes int64) *schedule {
	s := &schedule{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), under: newMemory()}
	s.under.afterRead = s.pause
	s.cache = newCache(t, cache.Options{
		Store: pausedWrites{s.under, s}, MaxBytes: maxBytes, StaleFor: time.Hour, Now: s.clock.now,
		LoadTimeout: time.Hour, Registerer: prometheus.NewRegistry(),
	})
	return s
}

// pause stops an operation until the schedule releases it.
func (s *schedule) pause(context.Context) error {
	release := make(chan error)
	s.paused = append(s.paused, release)
	return <-release
}

func (s *schedule) run(steps int) {
	for range steps {
		switch p := s.rand.IntN(10); {
		case p < 3:
			go s.read()
		case p < 5:
			go s.write()
		case p < 9 && len(s.paused) > 0:
			s.release()
		default:
			s.clock.advance(time.Duration(s.rand.IntN(8)) * time.Second)
		}
		synctest.Wait()
	}
	for len(s.paused) > 0 {
		s.release()
		synctest.Wait()
	}
}

func (s *schedule) release() {
	i := s.rand.IntN(len(s.paused))
	release := s.paused[i]
	s.paused = append(s.paused[:i], s.paused[i+1:]...)
	var err error
	if s.rand.IntN(8) == 0 {
		err = store.ErrUnavailable
	}
	release <- err
}

func (s *schedule) read() {
	before := s.acked
	l, err := s.cache.Resolve(context.Background(), "abc")
	switch {
	case errors.Is(err, store.ErrUnavailable):
	case errors.Is(err, store.ErrNotFound) && before > 0:
		s.t.Errorf("seed %d: Resolve = %v after version %d was acknowledged", s.seed, err, before)
	case err == nil && l.Version < before:
		s.t.Errorf("seed %d: Resolve = version %d after %d was acknowledged", s.seed, l.Version, before)
	}
}

func (s *schedule) write() {
	var l store.Link
	var err error
	switch {
	case len(s.under.links) == 0:
		l, err = s.cache.Create(context.Background(), link("abc", 0))
	case s.rand.IntN(10) == 0:
		l, err = s.cache.Delete(context.Background(), "abc", 0, s.clock.now())
	default:
		l, err = s.cache.Update(context.Background(), link("abc", 0))
	}
	if err == nil {
		s.acked = max(s.acked, l.Version)
	}
}

// pausedWrites pauses each write between its commit and its answer.
type pausedWrites struct {
	*memory
	s *schedule
}

func (p pausedWrites) answer(l store.Link, err error) (store.Link, error) {
	if pauseErr := p.s.pause(context.Background()); pauseErr != nil {
		return store.Link{}, pauseErr
	}
	return l, err
}

func (p pausedWrites) Create(ctx context.Context, l store.Link) (store.Link, error) {
	return p.answer(p.memory.Create(ctx, l))
}

func (p pausedWrites) Update(ctx context.Context, l store.Link) (store.Link, error) {
	return p.answer(p.memory.Update(ctx, l))
}

func (p pausedWrites) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	return p.answer(p.memory.Delete(ctx, code, version, at))
}
