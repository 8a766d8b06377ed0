package overload_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var classes = []overload.Class{overload.Redirect, overload.Read, overload.Write, overload.List}

const (
	wait  = time.Second
	queue = 2
)

// bounds returns the same bounds for all classes.
func bounds(least, most int) []overload.Bounds {
	b := overload.Bounds{Least: least, Most: most, Queue: queue, Wait: wait, Delay: time.Millisecond}
	return []overload.Bounds{b, b, b, b}
}

func newGuard(t *testing.T, opts overload.Options) (*overload.Guard, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	opts.Registerer = reg
	if opts.Delay == nil {
		opts.Delay = func() time.Duration { return 0 }
	}
	g, err := overload.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return g, reg
}

// outcome is the result of an Admit in the background.
type outcome struct {
	done, free func()
	err        error
	took       time.Duration
}

// begin calls Admit in the background. begin returns when Admit has returned or waits.
func begin(ctx context.Context, g *overload.Guard, c overload.Class) chan outcome {
	return beginAs(ctx, g, c, overload.Caller{})
}

// beginAs is begin for a caller.
func beginAs(ctx context.Context, g *overload.Guard, c overload.Class, who overload.Caller) chan outcome {
	result := make(chan outcome, 1)
	go func() {
		began := time.Now()
		place, err := g.Admit(ctx, c, who)
		got := outcome{err: err, took: time.Since(began)}
		if err == nil {
			got.done, got.free = place.Done, place.Free
		}
		result <- got
	}()
	synctest.Wait()
	return result
}

// take takes n places, and fails if it must wait.
func take(t *testing.T, g *overload.Guard, c overload.Class, n int) (all []func()) {
	t.Helper()
	for range n {
		result := begin(t.Context(), g, c)
		select {
		case got := <-result:
			if got.err != nil {
				t.Fatalf("Admit(%v) = %v, want a place", c, got.err)
			}
			all = append(all, got.done)
		default:
			t.Fatalf("Admit(%v) waits, want a place at once", c)
		}
	}
	return all
}

// room returns the number of free places of a class.
func room(t *testing.T, g *overload.Guard, c overload.Class) (n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for {
		result := begin(ctx, g, c)
		select {
		case got := <-result:
			if got.err != nil {
				return n
			}
			n++
			defer got.done()
		default:
			cancel()
			<-result
			return n
		}
	}
}

// TestClassesAreApart checks that requests of a class with a full queue are rejected
// immediately, and that the other classes keep their places.
func TestClassesAreApart(t *testing.T) {
	t.Parallel()
	for _, full := range classes {
		synctest.Test(t, func(t *testing.T) {
			g, reg := newGuard(t, overload.Options{Bounds: bounds(1, 3)})
			done := take(t, g, full, 3)
			var waiting []chan outcome
			for range queue {
				if g.Full(full, overload.Caller{}) {
					t.Errorf("class %v is full while its queue has room", full)
				}
				waiting = append(waiting, begin(t.Context(), g, full))
			}
			if !g.Full(full, overload.Caller{}) || !g.Scarce(full) {
				t.Errorf("class %v is full: %v, scarce: %v, want true", full, g.Full(full, overload.Caller{}), g.Scarce(full))
			}
			select {
			case got := <-begin(t.Context(), g, full):
				if !errors.Is(got.err, store.ErrShed) {
					t.Errorf("Admit(%v) with a full queue = %v, want %v", full, got.err, store.ErrShed)
				}
			default:
				t.Errorf("Admit(%v) with a full queue waits", full)
			}
			for _, c := range classes {
				if c != full && (g.Full(c, overload.Caller{}) || g.Scarce(c) || room(t, g, c) != 3) {
					t.Errorf("class %v has %d places while %v is full, want 3", c, room(t, g, c), full)
				}
			}
			for _, leave := range done {
				leave()
			}
			for _, result := range waiting {
				got := <-result
				if got.err != nil {
					t.Fatalf("Admit(%v) that waited = %v", full, got.err)
				}
				got.done()
			}
			if n := room(t, g, full); n != 3 {
				t.Errorf("class %v has %d places in the end, want 3", full, n)
			}
			if n, err := testutil.GatherAndCount(reg, "terse_overload_requests_total"); err != nil || n != 8 {
				t.Errorf("%d series of requests, %v, want 8", n, err)
			}
		})
	}
}

// asCaller tries to get a place without waiting.
func asCaller(t *testing.T, g *overload.Guard, who overload.Caller) (got outcome, waits bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := beginAs(ctx, g, overload.List, who)
	select {
	case got = <-result:
		return got, false
	default:
		cancel()
		return <-result, true
	}
}

// TestShares checks that one caller has at most half of the places, that a quarter is left for
// administrators, and that a request which only writes its answer counts for its caller alone.
func TestShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t, overload.Options{Bounds: bounds(1, 8)})
		one, two, admin := overload.Caller{ID: "one"}, overload.Caller{ID: "two"}, overload.Caller{ID: "admin", Admin: true}
		get := func(who overload.Caller, want int) (got []outcome) {
			t.Helper()
			for {
				o, waits := asCaller(t, g, who)
				if o.err != nil || waits {
					if len(got) != want {
						t.Fatalf("%s gets %d places, %v, waits: %v, want %d", who.ID, len(got), o.err, waits, want)
					}
					return got
				}
				got = append(got, o)
			}
		}
		ofOne := get(one, 4)
		if !g.Full(overload.List, one) || g.Full(overload.List, two) {
			t.Error("a caller with half of the places is not rejected at once, or another one is")
		}
		ofTwo := get(two, 2)
		if o, waits := asCaller(t, g, overload.Caller{ID: "three"}); !waits {
			t.Errorf("a third caller gets a place of the administrators, %v", o.err)
		}
		waiting := beginAs(t.Context(), g, overload.List, overload.Caller{ID: "three"})
		ofAdmin := get(admin, 2)
		for _, o := range ofOne {
			o.free() // the answers are being written
		}
		if got := <-waiting; got.err != nil {
			t.Errorf("Admit that waited = %v, want a place", got.err)
		} else {
			got.done()
		}
		if o, _ := asCaller(t, g, one); !errors.Is(o.err, store.ErrShed) {
			t.Errorf("a caller with %d answers that are being written = %v, want %v", len(ofOne), o.err, store.ErrShed)
		}
		for _, o := range append(append(ofOne, ofTwo...), ofAdmin...) {
			o.done()
		}
		for _, o := range get(one, 4) {
			o.done()
		}
		if n := room(t, g, overload.List); n != 8 {
			t.Errorf("there are %d places in the end, want 8", n)
		}
	})
}

// TestQueue checks that a returned place goes to the oldest request in the queue, and that a
// request waits no longer than Bounds.Wait and its ctx allow.
func TestQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t, overload.Options{Bounds: bounds(1, 1)})
		leave := take(t, g, overload.List, 1)[0]
		first := begin(t.Context(), g, overload.List)
		time.Sleep(wait / 2)
		second := begin(t.Context(), g, overload.List)
		leave()
		got := <-first
		if got.err != nil || got.took != wait/2 {
			t.Fatalf("the first = %v after %v, want a place after %v", got.err, got.took, wait/2)
		}
		if late := <-second; !errors.Is(late.err, store.ErrShed) || late.took != wait {
			t.Errorf("the second = %v after %v, want %v after %v", late.err, late.took, store.ErrShed, wait)
		}
		ctx, cancel := context.WithCancel(t.Context())
		impatient := begin(ctx, g, overload.List)
		cancel()
		if left := <-impatient; !errors.Is(left.err, context.Canceled) {
			t.Errorf("a canceled request = %v, want %v", left.err, context.Canceled)
		}
		got.done()
		if n := room(t, g, overload.List); n != 1 {
			t.Errorf("there are %d places in the end, want 1", n)
		}
	})
}

// TestStandingQueue checks that requests are rejected at once if the queue was not empty for a
// long time, and wait again after it was empty.
func TestStandingQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t, overload.Options{Bounds: bounds(1, 1)})
		leave := take(t, g, overload.Write, 1)[0]
		first := begin(t.Context(), g, overload.Write)
		time.Sleep(wait * 3 / 4)
		second := begin(t.Context(), g, overload.Write)
		<-first
		time.Sleep(wait / 2)
		third := begin(t.Context(), g, overload.Write)
		if got := <-third; !errors.Is(got.err, store.ErrShed) || got.took > 0 {
			t.Errorf("request behind a standing queue = %v after %v, want %v at once", got.err, got.took, store.ErrShed)
		}
		<-second
		fourth := begin(t.Context(), g, overload.Write)
		time.Sleep(wait / 2)
		leave()
		if got := <-fourth; got.err != nil {
			t.Errorf("request with an empty queue = %v, want a place", got.err)
		}
	})
}

// TestProcessor checks that classes lose places while the processor is overloaded: the least
// important class first, down to Least. They get all places back soon after.
func TestProcessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := bounds(5, 100)
		for i, ms := range []int{4, 2, 2, 1} {
			b[i].Delay = time.Duration(ms) * time.Millisecond
		}
		var delay atomic.Int64
		g, _ := newGuard(t, overload.Options{Bounds: b, Delay: func() time.Duration { return time.Duration(delay.Load()) }})
		pass := func(span time.Duration) (rooms []int) {
			for began := time.Now(); time.Since(began) < span; time.Sleep(50 * time.Millisecond) {
				for _, c := range classes {
					if place, err := g.Admit(t.Context(), c, overload.Caller{}); err == nil {
						place.Done()
					}
				}
			}
			for _, c := range classes {
				rooms = append(rooms, room(t, g, c))
			}
			return rooms
		}
		for _, tt := range []struct {
			delay time.Duration
			want  [4]int // redirects, reads, writes, lists
		}{
			{time.Millisecond, [4]int{100, 100, 100, 100}},
			{2 * time.Millisecond, [4]int{100, 100, 100, 5}},
			{4 * time.Millisecond, [4]int{100, 5, 5, 5}},
			{5 * time.Millisecond, [4]int{5, 5, 5, 5}},
			{0, [4]int{100, 100, 100, 100}},
		} {
			delay.Store(int64(tt.delay))
			if got := pass(5 * time.Second); [4]int(got) != tt.want {
				t.Errorf("with a delay of %v there are %v places, want %v", tt.delay, got, tt.want)
			}
		}
	})
}

// TestSlowWork checks that slow requests, as on a slow disk, do not reduce the places of their
// class.
func TestSlowWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t, overload.Options{Bounds: bounds(1, 50)})
		for range 20 {
			all := take(t, g, overload.Write, 50)
			time.Sleep(3 * time.Second)
			for _, leave := range all {
				leave()
			}
		}
	})
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	if _, err := overload.New(overload.Options{}); err == nil || !strings.Contains(err.Error(), "Registerer") {
		t.Errorf("New without a registerer = %v", err)
	}
	good := overload.Bounds{Least: 1, Most: 1, Delay: 1}
	for _, bad := range []overload.Bounds{
		{Least: 0, Most: 1, Delay: 1},
		{Least: 2, Most: 1, Delay: 1},
		{Least: 1, Most: 1, Queue: -1, Delay: 1},
		{Least: 1, Most: 1, Wait: -1, Delay: 1},
		{Least: 1, Most: 1},
	} {
		for i := range classes {
			all := []overload.Bounds{good, good, good, good}
			all[i] = bad
			if _, err := overload.New(overload.Options{Registerer: prometheus.NewRegistry(), Bounds: all}); err == nil || !strings.Contains(err.Error(), "Bounds") {
				t.Errorf("New with bounds %v = %v", all, err)
			}
		}
	}
	if _, err := overload.New(overload.Options{Registerer: prometheus.NewRegistry(), Bounds: []overload.Bounds{good}}); err == nil {
		t.Error("New with the bounds of one class = nil, want an error")
	}
}
