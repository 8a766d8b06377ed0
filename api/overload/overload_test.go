package overload_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time      { return time.Unix(1_800_000_000, c.at.Load()) }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

// bounds have room for one of each class.
var bounds = []overload.Bounds{{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}}

func newGuard(t *testing.T, opts overload.Options) (*overload.Guard, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	opts.Registerer = reg
	g, err := overload.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return g, reg
}

// admits returns which classes are taken on now.
func admits(t *testing.T, g *overload.Guard) (taken [4]bool) {
	t.Helper()
	for _, c := range []overload.Class{overload.Report, overload.Write, overload.Miss, overload.Redirect} {
		done, err := g.Admit(c)
		if err != nil && !errors.Is(err, store.ErrShed) {
			t.Fatal(err)
		}
		if taken[c] = err == nil; taken[c] {
			done(false)
		}
	}
	return taken
}

// TestOrder holds that a class without room closes the less important ones and no
// others, for as long as it has none and a moment more.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		full      overload.Class
		meanwhile [4]bool // redirect, miss, write, report
		after     [4]bool
	}{
		{"redirects", overload.Redirect, [4]bool{false, true, false, false}, [4]bool{true, true, false, false}},
		{"misses", overload.Miss, [4]bool{true, false, false, false}, [4]bool{true, true, false, false}},
		{"writes", overload.Write, [4]bool{true, true, false, false}, [4]bool{true, true, true, false}},
		{"reports", overload.Report, [4]bool{true, true, true, false}, [4]bool{true, true, true, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c clock
			g, _ := newGuard(t, overload.Options{Bounds: bounds, Now: c.now})
			if got := admits(t, g); got != [4]bool{true, true, true, true} {
				t.Errorf("an idle guard admits %v", got)
			}
			c.add(time.Second)
			done, err := g.Admit(tt.full)
			if err != nil {
				t.Fatal(err)
			}
			if got := admits(t, g); got != tt.meanwhile {
				t.Errorf("with no room it admits %v, want %v", got, tt.meanwhile)
			}
			done(true)
			if got := admits(t, g); got != tt.after {
				t.Errorf("right after it admits %v, want %v", got, tt.after)
			}
			c.add(time.Second)
			if got := admits(t, g); got != [4]bool{true, true, true, true} {
				t.Errorf("a second later it admits %v", got)
			}
		})
	}
}

// TestMakesRoomEarly holds that a class which begins to lack room has the least important
// ones make it first, and is not refused itself before they are.
func TestMakesRoomEarly(t *testing.T) {
	t.Parallel()
	b := overload.Bounds{Least: 100, Most: 100, First: 100, Goal: time.Second}
	for _, tt := range []struct {
		name          string
		crowd         overload.Class
		write, report int // how many of the crowd go on when these are first refused
	}{
		{"redirects", overload.Redirect, 75, 50},
		{"misses", overload.Miss, 75, 50},
		{"writes", overload.Write, 100, 75},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c clock
			g, _ := newGuard(t, overload.Options{Bounds: []overload.Bounds{b, b, b, b}, Now: c.now})
			c.add(time.Second)
			first := map[overload.Class]int{}
			for n := range 101 {
				for _, class := range []overload.Class{overload.Report, overload.Write} {
					done, err := g.Admit(class)
					switch _, known := first[class]; {
					case err == nil:
						done(false)
					case !known:
						first[class] = n
					}
				}
				if _, err := g.Admit(tt.crowd); (err != nil) != (n == 100) {
					t.Errorf("%d of the crowd, while %d go on: %v", n+1, n, err)
				}
			}
			if got := [2]int{first[overload.Write], first[overload.Report]}; got != [2]int{tt.write, tt.report} {
				t.Errorf("writes and reports are refused from %v on, want %d and %d", got, tt.write, tt.report)
			}
		})
	}
}

// TestHopelessMisses holds that a miss of an unknown link is refused before Redis is asked
// when the database lacks room for it and nearly all of these need that, and then only;
// that less important work has made room before; and that one goes on now and then.
func TestHopelessMisses(t *testing.T) {
	t.Parallel()
	const places = 10
	few := overload.Bounds{Least: places, Most: places, First: places, Goal: time.Second}
	many := overload.Bounds{Least: 1000, Most: 1000, First: 1000, Goal: time.Second}
	away := errors.New("away")
	for _, tt := range []struct {
		name  string
		found int // in Redis, of a hundred
		err   error
		busy  int // redirects that ask the database meanwhile
		room  int // misses that are then taken on; many.Most for all
	}{
		{"none is found", 0, nil, 4, places - 4},
		{"one in twenty is found", 5, nil, 4, places - 4},
		{"one in five is found", 20, nil, 4, many.Most},
		{"all are found", 100, nil, places, many.Most},
		{"Redis is away", 0, away, 4, places - 4},
		{"the database is full", 0, nil, places, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c clock
			g, _ := newGuard(t, overload.Options{Bounds: []overload.Bounds{few, many, many, many}, Now: c.now})
			for n := range 1000 {
				lookedUp, err := g.AdmitMiss(false)
				if err != nil {
					t.Fatalf("one miss at a time = %v", err)
				}
				lookedUp(n*tt.found/100 != (n+1)*tt.found/100, tt.err)
				if lookedUp, err = g.AdmitMiss(true); err != nil {
					t.Fatalf("one known miss at a time = %v", err)
				}
				lookedUp(true, nil) // and tells nothing of others
			}
			for range tt.busy {
				if _, err := g.Admit(overload.Redirect); err != nil {
					t.Fatal(err)
				}
			}
			room := 0
			var err error
			for ; room < many.Most; room++ {
				if _, err = g.AdmitMiss(false); err != nil {
					break
				}
				c.add(time.Millisecond)
			}
			if room != tt.room {
				t.Errorf("%d misses are taken on, want %d", room, tt.room)
			}
			if err == nil {
				return
			}
			if !errors.Is(err, store.ErrShed) {
				t.Errorf("the next one = %v, want %v", err, store.ErrShed)
			}
			if !g.Short(overload.Write) || !g.Short(overload.Report) {
				t.Error("writes or lists do not make room")
			}
			if _, err := g.AdmitMiss(true); err != nil {
				t.Errorf("a known miss = %v", err)
			}
			if _, err := g.Admit(overload.Redirect); err != nil {
				t.Errorf("a redirect that was held to this limit as a miss = %v", err)
			}
			tried := 0
			for range 5000 {
				if _, err := g.AdmitMiss(false); err == nil {
					tried++
				}
			}
			if tried < 1 || tried > 10 {
				t.Errorf("%d of 5000 are tried all the same, want few", tried)
			}
		})
	}
}

// queue is a place that does a fixed number of things a second, one after the other,
// for all who were admitted. Time passes only in it.
type queue struct {
	t       *testing.T
	guard   *overload.Guard
	clock   clock
	each    time.Duration // that one thing takes
	waiting []func(telling bool)
}

// offer lets so many ask each millisecond, for a time, and returns how many a second
// were done, and shed.
func (q *queue) offer(perMillisecond int, d time.Duration) (done, shed float64) {
	q.t.Helper()
	began := q.clock.now()
	for free := began; q.clock.now().Sub(began) < d; q.clock.add(time.Millisecond) {
		for range perMillisecond {
			leave, err := q.guard.Admit(overload.Redirect)
			if err != nil {
				shed++
				continue
			}
			q.waiting = append(q.waiting, leave)
		}
		for ; len(q.waiting) > 0 && free.Before(q.clock.now()); free = free.Add(q.each) {
			q.waiting[0](true)
			q.waiting = q.waiting[1:]
			done++
		}
		if len(q.waiting) == 0 {
			free = q.clock.now()
		}
	}
	return done / d.Seconds(), shed / d.Seconds()
}

// TestAdapts holds that the limit finds what can be done in time: four times as much
// as that leaves as much done as before, soon, and nothing of it is felt later.
func TestAdapts(t *testing.T) {
	t.Parallel()
	q := &queue{t: t, each: 100 * time.Microsecond} // 10,000 a second
	b := overload.Bounds{Least: 10, Most: 5000, First: 5000, Goal: 25 * time.Millisecond}
	q.guard, _ = newGuard(t, overload.Options{Bounds: []overload.Bounds{b, b, b, b}, Now: q.clock.now})
	if done, shed := q.offer(8, 5*time.Second); done < 7900 || shed > 0 {
		t.Errorf("of 8,000 a second %v are done and %v shed, want all done", done, shed)
	}
	q.offer(40, 3*time.Second)
	if done, _ := q.offer(40, 2*time.Second); done < 9500 {
		t.Errorf("of 40,000 a second %v are done, want 95%% of 10,000", done)
	}
	// What was admitted is done within a few times the goal.
	if n := len(q.waiting); n > 1500 {
		t.Errorf("%d wait, want what can be done in 150 ms at most", n)
	}
	q.offer(8, 2*time.Second)
	if done, shed := q.offer(8, 2*time.Second); done < 7900 || shed > 0 {
		t.Errorf("of 8,000 a second %v are done and %v shed two seconds after the storm, want all done", done, shed)
	}
}

// TestSlowByNature holds that what takes longer than the goal even alone is not shed
// for it.
func TestSlowByNature(t *testing.T) {
	t.Parallel()
	var c clock
	b := overload.Bounds{Least: 1, Most: 100, First: 50, Goal: time.Millisecond}
	g, reg := newGuard(t, overload.Options{Bounds: []overload.Bounds{b, b, b, b}, Now: c.now})
	for range 100 {
		var all []func(bool)
		for range 40 {
			done, err := g.Admit(overload.Write)
			if err != nil {
				t.Fatalf("a write of 80 ms among 40 = %v", err)
			}
			all = append(all, done)
		}
		c.add(80 * time.Millisecond)
		for _, done := range all {
			done(true)
		}
	}
	if n, err := testutil.GatherAndCount(reg, "terse_overload_requests_total"); err != nil || n != 8 {
		t.Errorf("%d series of requests, %v, want 8", n, err)
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	if _, err := overload.New(overload.Options{}); err == nil || !strings.Contains(err.Error(), "Registerer") {
		t.Errorf("New without a registerer = %v", err)
	}
	one := overload.Bounds{1, 1, 1, 1}
	for _, wrong := range [][]overload.Bounds{{}, {{1, 1, 1, 1}}, {{0, 1, 1, 1}, one, one, one}, {one, {2, 2, 1, 1}, one, one}, {one, one, {1, 1, 2, 1}, one}, {one, one, one, {1, 1, 1, 0}}} {
		if _, err := overload.New(overload.Options{Registerer: prometheus.NewRegistry(), Bounds: wrong}); err == nil || !strings.Contains(err.Error(), "Bounds") {
			t.Errorf("New with bounds %v = %v", wrong, err)
		}
	}
}

// blocked is a store whose calls last until they are let go.
type blocked struct {
	store.Store
	began, goOn chan struct{}
	err         error
}

func (b *blocked) Resolve(context.Context, string) (store.Link, error) {
	b.began <- struct{}{}
	<-b.goOn
	return store.Link{Code: "x"}, b.err
}

// TestStore holds that redirects which find no room are told so without waiting,
// and that a failure gives its place back.
func TestStore(t *testing.T) {
	t.Parallel()
	g, _ := newGuard(t, overload.Options{Bounds: bounds})
	under := &blocked{began: make(chan struct{}), goOn: make(chan struct{}), err: store.ErrUnavailable}
	s := g.Store(under)
	first := make(chan error, 1)
	go func() {
		_, err := s.Resolve(t.Context(), "x")
		first <- err
	}()
	<-under.began
	if _, err := s.Resolve(t.Context(), "y"); !errors.Is(err, store.ErrShed) {
		t.Errorf("a second Resolve = %v, want %v", err, store.ErrShed)
	}
	if _, err := s.Consume(t.Context(), "y", time.Now()); !errors.Is(err, store.ErrShed) {
		t.Errorf("Consume beside it = %v, want %v", err, store.ErrShed)
	}
	close(under.goOn)
	if err := <-first; !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrShed) {
		t.Errorf("the first Resolve = %v, want the store's error", err)
	}
	go func() { <-under.began }()
	if _, err := s.Resolve(t.Context(), "x"); errors.Is(err, store.ErrShed) {
		t.Error("the place of a failed Resolve was not given back")
	}
}
