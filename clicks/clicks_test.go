package clicks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/useragent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("sink is down")

// sink sums batches as store.ClickSink demands: all of a batch or nothing, and only once.
type sink struct {
	mu      sync.Mutex
	totals  map[string]store.ClickCount
	seen    map[string]bool
	batches []store.ClickBatch // every attempt
	answer  func(attempt int) (add bool, err error)
	onAdd   func(ctx context.Context)
}

func (s *sink) AddClicks(ctx context.Context, b store.ClickBatch) error {
	if s.onAdd != nil {
		s.onAdd(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, b)
	add, err := true, error(nil)
	if s.answer != nil {
		add, err = s.answer(len(s.batches))
	}
	id := fmt.Sprint(b.Recorder, b.Seq)
	if !add || s.seen[id] {
		return err
	}
	if s.seen == nil {
		s.seen, s.totals = map[string]bool{}, map[string]store.ClickCount{}
	}
	s.seen[id] = true
	for _, c := range b.Counts {
		t := s.totals[c.Code]
		t.Code, t.N, t.Robots = c.Code, t.N+c.N, t.Robots+c.Robots
		if c.Last.After(t.Last) {
			t.Last = c.Last
		}
		s.totals[c.Code] = t
	}
	return err
}

func (s *sink) sum() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.totals {
		n += c.N
	}
	return n
}

// lost returns the sum of the lost clicks in all different batches.
func (s *sink) lost(tb testing.TB) (n int64) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{} // a batch may be sent again
	for _, b := range s.batches {
		id := fmt.Sprint(b.Recorder, b.Seq)
		for _, d := range b.Days {
			if d.Kind != store.ClickLost || seen[id] {
				continue
			}
			parsed, err := day.ParseRow(d)
			if err != nil {
				tb.Fatal(err)
			}
			n += parsed.Total().All()
		}
		seen[id] = true
	}
	return n
}

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"

// click returns a click of a person.
func click(key string, at time.Time) clicks.Click {
	return clicks.Click{Key: key, At: at, Request: visit.Request{UserAgent: firefox}}
}

// german finds Germany for every address.
type german struct{}

func (german) Of(addr netip.Addr) string { return map[bool]string{true: "DE"}[addr.IsValid()] }

// visits is shared, because compiling the list of robots takes some milliseconds.
var visits = sync.OnceValue(func() *visit.Classifier {
	agents, err := useragent.New()
	if err != nil {
		panic(err)
	}
	c, err := visit.New(agents, german{})
	if err != nil {
		panic(err)
	}
	return c
})

// newRecorder returns a recorder that flushes only on demand, unless opts has a
// FlushEvery.
func newRecorder(tb testing.TB, opts clicks.Options) (*clicks.Recorder, *prometheus.Registry) {
	tb.Helper()
	reg := prometheus.NewRegistry()
	opts.Registerer, opts.Logger, opts.Visits = reg, slog.New(slog.DiscardHandler), visits()
	if opts.FlushEvery == 0 {
		opts.FlushEvery = time.Hour
	}
	r, err := clicks.New(opts)
	if err != nil {
		tb.Fatalf("New = %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Close(ctx) // has no effect when the test has closed it already
	})
	return r, reg
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := clicks.New(clicks.Options{FlushEvery: -1, FlushTimeout: -1, MaxBytes: -1, MaxBatch: -1})
	if err == nil {
		t.Fatal("New = nil, want an error")
	}
	for _, field := range []string{"Sink", "Visits", "Registerer", "Logger", "FlushEvery", "FlushTimeout", "MaxBytes", "MaxBatch"} {
		if !strings.Contains(err.Error(), "clicks: Options."+field+" ") {
			t.Errorf("New = %v, want an error for %s", err, field)
		}
	}
}

func TestFlushAddsUp(t *testing.T) {
	t.Parallel()
	var s sink
	r, _ := newRecorder(t, clicks.Options{Sink: &s})
	at := time.Date(2026, 5, 1, 12, 0, 0, 123_456_789, time.FixedZone("", 3600))
	r.Record(click("b", at))
	r.Record(click("a", at.Add(time.Minute)))
	r.Record(click("a", at))
	if err := r.Flush(t.Context()); err != nil {
		t.Fatalf("Flush = %v", err)
	}
	want := []store.ClickCount{
		{Code: "a", N: 2, Last: time.Date(2026, 5, 1, 11, 1, 0, 123_456_000, time.UTC)},
		{Code: "b", N: 1, Last: time.Date(2026, 5, 1, 11, 0, 0, 123_456_000, time.UTC)},
	}
	if len(s.batches) != 1 || s.batches[0].Seq != 1 || !reflect.DeepEqual(s.batches[0].Counts, want) {
		t.Errorf("batches = %+v, want one with Seq 1 and %+v", s.batches, want)
	}
	if err := r.Flush(t.Context()); err != nil || len(s.batches) != 1 {
		t.Errorf("Flush without clicks = %v with %d batches, want nil and no new batch", err, len(s.batches))
	}
}

func TestBatchesAreBoundedAndSorted(t *testing.T) {
	t.Parallel()
	var s sink
	r, _ := newRecorder(t, clicks.Options{Sink: &s, MaxBatch: 10})
	for i := range 25 {
		r.Record(click(fmt.Sprintf("c%02d", i), time.Now()))
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatalf("Flush = %v", err)
	}
	var sizes, seqs []int
	var codes []string
	for _, b := range s.batches {
		sizes, seqs = append(sizes, len(b.Counts)), append(seqs, int(b.Seq))
		for _, c := range b.Counts {
			codes = append(codes, c.Code)
		}
	}
	if !slices.Equal(sizes, []int{10, 10, 5}) || !slices.Equal(seqs, []int{1, 2, 3}) || !slices.IsSorted(codes) {
		t.Errorf("sizes %v, seqs %v, codes %v, want sizes 10, 10, 5, seqs from 1, sorted codes", sizes, seqs, codes)
	}
}

func TestFailedBatchIsRepeated(t *testing.T) {
	t.Parallel()
	for _, added := range []bool{false, true} { // true: the sink adds the batch and then returns an error
		t.Run(fmt.Sprint("added=", added), func(t *testing.T) {
			t.Parallel()
			s := sink{answer: func(attempt int) (bool, error) {
				if attempt == 1 {
					return added, errDown
				}
				return true, nil
			}}
			r, _ := newRecorder(t, clicks.Options{Sink: &s})
			r.Record(click("a", time.Now()))
			if err := r.Flush(t.Context()); !errors.Is(err, errDown) {
				t.Fatalf("Flush = %v, want %v", err, errDown)
			}
			r.Record(click("a", time.Now()))
			if err := r.Flush(t.Context()); err != nil {
				t.Fatalf("Flush = %v", err)
			}
			if len(s.batches) != 3 || !reflect.DeepEqual(s.batches[0], s.batches[1]) || s.batches[2].Seq != 2 {
				t.Errorf("batches = %+v, want the first batch twice, then the second", s.batches)
			}
			if got := s.sum(); got != 2 {
				t.Errorf("counted = %d, want 2", got)
			}
		})
	}
}

func TestFlushesByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sink
		r, _ := newRecorder(t, clicks.Options{Sink: &s, FlushEvery: time.Second})
		r.Record(click("a", time.Now()))
		time.Sleep(time.Second - 1)
		synctest.Wait()
		if got := s.sum(); got != 0 {
			t.Errorf("counted before FlushEvery = %d, want 0", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := s.sum(); got != 1 {
			t.Errorf("counted after FlushEvery = %d, want 1", got)
		}
		_ = r.Close(t.Context())
	})
}

func TestBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		s := sink{answer: func(int) (bool, error) {
			attempts = append(attempts, time.Now())
			return false, errDown
		}}
		r, _ := newRecorder(t, clicks.Options{Sink: &s, FlushEvery: time.Second})
		for i := range 10 * 60 * 2 { // for ten minutes, one stripe after another fills up
			r.Record(click(fmt.Sprint(i), time.Now()))
			time.Sleep(time.Second / 2)
		}
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock() // attempts is complete
		if len(attempts) < 20 {
			t.Errorf("attempts in 10 minutes = %d, want at least 20", len(attempts))
		}
		for i := 6; i < len(attempts); i++ {
			if gap := attempts[i].Sub(attempts[i-1]); gap < 15*time.Second || gap > 30*time.Second {
				t.Errorf("pause before attempt %d = %v, want 15s to 30s", i+1, gap)
			}
		}
		time.Sleep(time.Minute)
		if s.sum() == 0 {
			t.Error("counted = 0 a minute after the sink's recovery, want clicks")
		}
		_ = r.Close(t.Context())
	})
}

func TestSinkThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sink{onAdd: func(ctx context.Context) { <-ctx.Done() }, answer: func(int) (bool, error) { return false, errDown }}
		r, _ := newRecorder(t, clicks.Options{Sink: &s, FlushTimeout: 5 * time.Second})
		r.Record(click("a", time.Now()))
		began := time.Now()
		go func() { _ = r.Flush(t.Context()) }()
		synctest.Wait()
		r.Record(click("a", time.Now())) // must not wait for the sink: the fake clock would advance
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Flush during another flush = %v after %v, want its own deadline after 1s", err, time.Since(began))
		}
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_ = r.Close(ctx)
		if len(s.batches) < 3 || s.batches[0].Seq != 1 || s.batches[2].Seq != 1 {
			t.Errorf("batches = %+v, want a retry of the same batch after every FlushTimeout", s.batches)
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		answer  func(attempt int) (bool, error)
		flushed float64
		lost    float64
	}{
		{"flushes", nil, 3, 0},
		{"repeats", func(n int) (bool, error) { return n > 2, map[bool]error{true: nil, false: errDown}[n > 2] }, 3, 0},
		{"gives up", func(int) (bool, error) { return false, errDown }, 0, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := sink{answer: tt.answer}
				r, reg := newRecorder(t, clicks.Options{Sink: &s})
				for range 3 {
					r.Record(click("a", time.Now()))
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := r.Close(ctx); (err != nil) != (tt.lost > 0) {
					t.Errorf("Close = %v, want an error: %t", err, tt.lost > 0)
				}
				if err := r.Close(ctx); err != nil {
					t.Errorf("second Close = %v, want nil", err)
				}
				r.Record(click("late", time.Now()))
				want := map[string]float64{
					"recorded": 4, "flushed": tt.flushed, "dropped shutdown": tt.lost + 1, "dropped full": 0, "pending": 0,
					"excluded": 0, "coarse": 0, "unsalted": 0, "restored": 0, "spooled": 0, "spool_failures": 0, "dropped old": 0, "dropped damaged": 0,
				}
				if got := gather(t, reg); !reflect.DeepEqual(got, want) {
					t.Errorf("metrics = %v, want %v", got, want)
				}
			})
		})
	}
}

// TestNothingIsLostOrCountedTwice records from several goroutines while flushes fail.
// Some of the failed flushes have added their batch.
func TestNothingIsLostOrCountedTwice(t *testing.T) {
	t.Parallel()
	const recorders, each = 8, 50_000
	codes := []string{"a", "b", "c", "d"} // few codes, so that goroutines compete for them
	s := sink{answer: func(int) (bool, error) {
		switch rand.IntN(3) {
		case 0:
			return true, errDown
		case 1:
			return false, errDown
		}
		return true, nil
	}}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, FlushEvery: time.Millisecond, MaxBatch: 3})
	now := time.Now()
	var wg sync.WaitGroup
	for range recorders {
		wg.Go(func() {
			for i := range each {
				r.Record(click(codes[i%len(codes)], now))
				if i%5000 == 0 {
					_ = r.Flush(t.Context())
				}
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.mu.Lock()
	s.answer = nil
	s.mu.Unlock()
	if err := r.Close(ctx); err != nil {
		t.Fatalf("Close = %v", err)
	}
	if got := s.sum(); got != recorders*each {
		t.Errorf("counted = %d, want %d", got, recorders*each)
	}
	for _, c := range s.totals {
		if c.N != recorders*each/4 {
			t.Errorf("counted for %q = %d, want %d", c.Code, c.N, recorders*each/4)
		}
	}
	if m := gather(t, reg); m["recorded"] != recorders*each || m["flushed"] != recorders*each {
		t.Errorf("metrics = %v, want %d recorded and flushed", m, recorders*each)
	}
	for _, b := range s.batches {
		for i := 1; i < len(b.Counts); i++ {
			if b.Counts[i-1].Code >= b.Counts[i].Code {
				t.Fatalf("batch %d has %q before %q", b.Seq, b.Counts[i-1].Code, b.Counts[i].Code)
			}
		}
	}
}

func TestRecordKeepsNoReference(t *testing.T) {
	t.Parallel()
	var s sink
	r, _ := newRecorder(t, clicks.Options{Sink: &s})
	path := "/abc?" + strings.Repeat("x", 1<<20)
	for range 2 {
		r.Record(click(path[1:4], time.Now()))
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatalf("Flush = %v", err)
	}
	if got := s.batches[0].Counts[0].Code; got != "abc" || unsafe.StringData(got) == unsafe.StringData(path[1:]) {
		t.Errorf("code = %q, want a copy", got)
	}
}

func TestRecordDoesNotAllocate(t *testing.T) { // not parallel: it counts allocations
	r, _ := newRecorder(t, clicks.Options{Sink: &sink{}})
	c := click("abc", time.Now())
	r.Record(c)
	if got := testing.AllocsPerRun(1000, func() { r.Record(c) }); got != 0 {
		t.Errorf("allocations of Record = %v, want 0", got)
	}
}

func BenchmarkRecord(b *testing.B) {
	codes := make([]string, 1000)
	for i := range codes {
		codes[i] = fmt.Sprintf("c%08d", i)
	}
	for _, n := range []int{1, 1000} {
		r, _ := newRecorder(b, clicks.Options{Sink: &sink{}})
		now := time.Now()
		b.Run(fmt.Sprint("codes=", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(n); pb.Next(); i++ {
					r.Record(click(codes[i%n], now))
				}
			})
		})
	}
}

// gather returns the recorder's metrics by short name.
func gather(tb testing.TB, reg *prometheus.Registry) map[string]float64 {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatalf("Gather = %v", err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "terse_clicks_"), "_total")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if m.GetHistogram() == nil {
				got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return got
}
