package clicks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	"github.com/terse/terse/store"
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
		t.Code, t.N = c.Code, t.N+c.N
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

// newRecorder returns a recorder that flushes only on demand, unless opts has a
// FlushEvery.
func newRecorder(tb testing.TB, opts clicks.Options) (*clicks.Recorder, *prometheus.Registry) {
	tb.Helper()
	reg := prometheus.NewRegistry()
	opts.Registerer, opts.Logger = reg, slog.New(slog.DiscardHandler)
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
	_, err := clicks.New(clicks.Options{FlushEvery: -1, FlushTimeout: -1, MaxCodes: -1, MaxBatch: -1})
	if err == nil {
		t.Fatal("New = nil, want an error")
	}
	for _, field := range []string{"Sink", "Registerer", "Logger", "FlushEvery", "FlushTimeout", "MaxCodes", "MaxBatch"} {
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
	r.Record(store.Click{Code: "b", At: at})
	r.Record(store.Click{Code: "a", At: at.Add(time.Minute)})
	r.Record(store.Click{Code: "a", At: at})
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
		r.Record(store.Click{Code: fmt.Sprintf("c%02d", i), At: time.Now()})
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
			r.Record(store.Click{Code: "a", At: time.Now()})
			if err := r.Flush(t.Context()); !errors.Is(err, errDown) {
				t.Fatalf("Flush = %v, want %v", err, errDown)
			}
			r.Record(store.Click{Code: "a", At: time.Now()})
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

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := sink{answer: func(int) (bool, error) { return false, errDown }}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, MaxCodes: 64})
	record := func(prefix string) {
		for i := range 10_000 {
			r.Record(store.Click{Code: fmt.Sprint(prefix, i), At: time.Now()})
		}
	}
	record("a")
	_ = r.Flush(t.Context())
	record("b")
	_ = r.Flush(t.Context()) // the first batch fails again, so the flush takes no new clicks
	m := gather(t, reg)
	if m["pending"] > 2*64 || m["pending"] < 64 || m["dropped full"] != 20_000-m["pending"] {
		t.Errorf("metrics = %v, want at most 128 pending and the rest dropped", m)
	}
}

func TestFlushesByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sink
		r, _ := newRecorder(t, clicks.Options{Sink: &s, FlushEvery: time.Second})
		r.Record(store.Click{Code: "a", At: time.Now()})
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

func TestFlushesSoonerWhenHalfFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sink
		r, reg := newRecorder(t, clicks.Options{Sink: &s, MaxCodes: 1024})
		for i := range 10_000 {
			r.Record(store.Click{Code: fmt.Sprint(i), At: time.Now()})
			synctest.Wait()
		}
		if m := gather(t, reg); m["dropped full"] != 0 || m["pending"] > 1024 {
			t.Errorf("metrics = %v, want no drops", m)
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
		r, _ := newRecorder(t, clicks.Options{Sink: &s, FlushEvery: time.Second, MaxCodes: 1024})
		for i := range 10 * 60 * 2 { // for ten minutes, one stripe after another fills up
			r.Record(store.Click{Code: fmt.Sprint(i), At: time.Now()})
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
		r.Record(store.Click{Code: "a", At: time.Now()})
		began := time.Now()
		go func() { _ = r.Flush(t.Context()) }()
		synctest.Wait()
		r.Record(store.Click{Code: "a", At: time.Now()}) // must not wait for the sink: the fake clock would advance
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
					r.Record(store.Click{Code: "a", At: time.Now()})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := r.Close(ctx); (err != nil) != (tt.lost > 0) {
					t.Errorf("Close = %v, want an error: %t", err, tt.lost > 0)
				}
				if err := r.Close(ctx); err != nil {
					t.Errorf("second Close = %v, want nil", err)
				}
				r.Record(store.Click{Code: "late", At: time.Now()})
				want := map[string]float64{
					"recorded": 4, "flushed": tt.flushed, "dropped shutdown": tt.lost + 1, "dropped full": 0, "pending": 0,
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
				r.Record(store.Click{Code: codes[i%len(codes)], At: now})
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
		r.Record(store.Click{Code: path[1:4], At: time.Now()})
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
	c := store.Click{Code: "abc", At: time.Now()}
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
					r.Record(store.Click{Code: codes[i%n], At: now})
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
