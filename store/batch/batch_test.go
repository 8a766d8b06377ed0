package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errOdd is the error that a runner returns for odd requests.
var errOdd = errors.New("odd")

// runner is a Run that a test can delay. It answers n with 10n, and odd numbers also with
// errOdd.
type runner struct {
	gate chan struct{} // each batch takes one token; nil lets all batches pass

	mu      sync.Mutex
	batches [][]int
}

func (d *runner) run(ctx context.Context, reqs []int) []batch.Result[int] {
	d.mu.Lock()
	d.batches = append(d.batches, slices.Clone(reqs))
	d.mu.Unlock()
	results := make([]batch.Result[int], len(reqs))
	if d.gate != nil {
		select {
		case <-d.gate:
		case <-ctx.Done():
			for i := range results {
				results[i].Err = ctx.Err()
			}
			return results
		}
	}
	for i, n := range reqs {
		results[i].Value = 10 * n
		if n%2 == 1 {
			results[i].Err = errOdd
		}
	}
	return results
}

func newGroup(tb testing.TB, opts batch.Options[int, int]) *batch.Group[int, int] {
	tb.Helper()
	g, err := batch.New(opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	tb.Cleanup(g.Close)
	return g
}

// answer is the result of one Do.
type answer struct {
	n, value int
	err      error
}

// call starts Do(n) and returns when all goroutines of the synctest bubble are blocked.
func call(ctx context.Context, g *batch.Group[int, int], n int, answers chan<- answer) {
	go func() {
		value, err := g.Do(ctx, n)
		answers <- answer{n, value, err}
	}()
	synctest.Wait()
}

func TestCallsTravelTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		var sizes []int
		g := newGroup(t, batch.Options[int, int]{
			Run: d.run, MaxBatch: 3,
			Observe: func(size int, _ time.Duration) { sizes = append(sizes, size) },
		})
		answers := make(chan answer, 5)
		for n := range 5 {
			call(t.Context(), g, n, answers)
		}
		if got := g.Waiting(); got != 4 {
			t.Errorf("Waiting() = %d, want 4", got)
		}
		for range 3 {
			d.gate <- struct{}{}
		}
		synctest.Wait()
		if want := [][]int{{0}, {1, 2, 3}, {4}}; !slices.EqualFunc(d.batches, want, slices.Equal) {
			t.Errorf("batches = %v, want %v", d.batches, want)
		}
		if want := []int{1, 3, 1}; !slices.Equal(sizes, want) {
			t.Errorf("observed sizes = %v, want %v", sizes, want)
		}
		for range 5 {
			a := <-answers
			if a.value != 10*a.n || (a.n%2 == 1) != errors.Is(a.err, errOdd) {
				t.Errorf("Do(%d) = %d, %v, want its own answer", a.n, a.value, a.err)
			}
		}
	})
}

// TestParallel checks that Parallel batches run at the same time, each with one call when
// MaxBatch is 1.
func TestParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, MaxBatch: 1, Parallel: 3})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { _, _ = g.Do(t.Context(), i) })
		}
		for _, want := range []struct{ batches, waiting int }{{3, 2}, {4, 1}, {5, 0}, {5, 0}} {
			synctest.Wait()
			d.mu.Lock()
			batches := len(d.batches)
			d.mu.Unlock()
			if batches != want.batches || g.Waiting() != want.waiting {
				t.Errorf("%d batches and %d waiting calls, want %d and %d", batches, g.Waiting(), want.batches, want.waiting)
			}
			d.gate <- struct{}{}
		}
		d.gate <- struct{}{}
		wg.Wait()
	})
}

// TestBatchesShare checks that concurrent batches share the calls evenly when callers call
// again at once, even if the first batch had most of them. It also checks that fewer
// calls than MinParallel wait during another batch.
func TestBatchesShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, Parallel: 2, MinParallel: 4, Linger: time.Millisecond})
		ctx, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		caller := func(n int) {
			callers.Go(func() {
				for ctx.Err() == nil {
					_, _ = g.Do(t.Context(), n)
				}
			})
			synctest.Wait()
		}
		wantRunning := func(want ...[]int) {
			t.Helper()
			synctest.Wait()
			d.mu.Lock()
			defer d.mu.Unlock()
			last := d.batches[len(d.batches)-len(want):]
			for i := range want {
				if len(last[i]) != len(want[i]) {
					t.Fatalf("the last batches have calls %v, want as many calls as %v", last, want)
				}
			}
		}
		for n := range 4 {
			caller(n)
		}
		if got := g.Waiting(); got != 3 {
			t.Fatalf("%d calls wait during a batch, want 3: they are fewer than MinParallel", got)
		}
		caller(4)
		wantRunning([]int{0}, []int{1, 2, 3, 4})
		for n := 5; n < 8; n++ {
			caller(n)
		}
		d.gate <- struct{}{} // either of the two batches ends
		for range 6 {
			time.Sleep(2 * time.Millisecond) // longer than a batch lingers
			synctest.Wait()
			d.gate <- struct{}{}
		}
		time.Sleep(2 * time.Millisecond)
		wantRunning(make([]int, 4), make([]int, 4))
		leave()
		close(d.gate)
		callers.Wait()
	})
}

// TestFullBatchesStart checks that a batch with MaxBatch calls does not wait for others.
func TestFullBatchesStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, MaxBatch: 2, Parallel: 3, MinParallel: 4})
		var callers sync.WaitGroup
		for n := range 5 {
			callers.Go(func() { _, _ = g.Do(t.Context(), n) })
			synctest.Wait()
		}
		if got := g.Waiting(); got != 0 {
			t.Errorf("%d calls wait although batches are full, want 0", got)
		}
		close(d.gate)
		callers.Wait()
	})
}

// TestLinger checks that a batch waits for callers that were just answered, no longer
// than Linger, and not after a batch with one caller.
func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const linger = time.Millisecond
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, Linger: linger})
		answers := make(chan answer, 10)
		finish := func() {
			d.gate <- struct{}{}
			synctest.Wait()
		}
		want := func(batches ...[]int) {
			t.Helper()
			d.mu.Lock()
			defer d.mu.Unlock()
			if !slices.EqualFunc(d.batches, batches, slices.Equal) {
				t.Errorf("batches = %v, want %v", d.batches, batches)
			}
		}
		for n := range 4 {
			call(t.Context(), g, n, answers)
		}
		finish() // the first batch, with one call
		want([]int{0}, []int{1, 2, 3})
		call(t.Context(), g, 4, answers)
		finish() // a batch with three calls, while one waits: four calls are expected
		want([]int{0}, []int{1, 2, 3})
		for n := range 3 {
			call(t.Context(), g, 5+n, answers)
		}
		want([]int{0}, []int{1, 2, 3}, []int{4, 5, 6, 7})
		call(t.Context(), g, 8, answers)
		finish()
		time.Sleep(linger - 1)
		synctest.Wait()
		want([]int{0}, []int{1, 2, 3}, []int{4, 5, 6, 7})
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		want([]int{0}, []int{1, 2, 3}, []int{4, 5, 6, 7}, []int{8})
		finish()
		call(t.Context(), g, 9, answers)
		want([]int{0}, []int{1, 2, 3}, []int{4, 5, 6, 7}, []int{8}, []int{9})
		finish()
	})
}

func TestWaitingCallIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run})
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan answer, 4)
		call(t.Context(), g, 0, answers)
		call(t.Context(), g, 2, answers)
		call(ctx, g, 4, answers)
		call(t.Context(), g, 6, answers)
		cancel()
		if a := <-answers; a.n != 4 || !errors.Is(a.err, context.Canceled) {
			t.Errorf("Do(%d) = %v, want %v for 4 at once", a.n, a.err, context.Canceled)
		}
		d.gate <- struct{}{}
		d.gate <- struct{}{}
		synctest.Wait()
		if want := [][]int{{0}, {2, 6}}; !slices.EqualFunc(d.batches, want, slices.Equal) {
			t.Errorf("batches = %v, want %v", d.batches, want)
		}
	})
}

func TestBatchOutlivesCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, Timeout: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		answers := make(chan answer, 2)
		call(ctx, g, 0, answers)
		if a := <-answers; !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("Do(0) = %v, want %v", a.err, context.DeadlineExceeded)
		}
		call(t.Context(), g, 2, answers)
		if len(d.batches) != 1 {
			t.Errorf("batches = %v, want the first one still under way", d.batches)
		}
		d.gate <- struct{}{}
		d.gate <- struct{}{}
		if a := <-answers; a.err != nil || a.value != 20 {
			t.Errorf("Do(2) = %d, %v, want 20", a.value, a.err)
		}
	})
}

func TestBatchTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, Timeout: time.Second})
		_, err := g.Do(t.Context(), 0)
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do() = %v, want %v and no deadline of the caller", err, store.ErrUnavailable)
		}
	})
}

func TestEndedContextNeverRuns(t *testing.T) {
	t.Parallel()
	d := &runner{}
	g := newGroup(t, batch.Options[int, int]{Run: d.run})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Do(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Do() = %v, want %v", err, context.Canceled)
	}
	g.Close()
	if len(d.batches) != 0 {
		t.Errorf("batches = %v, want none", d.batches)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, MaxQueue: 2})
		answers := make(chan answer, 3)
		for n := range 3 {
			call(t.Context(), g, 2*n, answers)
		}
		if _, err := g.Do(t.Context(), 6); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Do() with a full queue = %v, want %v", err, store.ErrUnavailable)
		}
		close(d.gate)
		for range 3 {
			if a := <-answers; a.err != nil {
				t.Errorf("Do(%d) = %v, want nil", a.n, a.err)
			}
		}
	})
}

func TestCloseDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run})
		answers := make(chan answer, 3)
		for n := range 3 {
			call(t.Context(), g, 2*n, answers)
		}
		closed := make(chan struct{})
		go func() {
			g.Close()
			close(closed)
		}()
		synctest.Wait()
		if _, err := g.Do(t.Context(), 8); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Do() of a closing group = %v, want %v", err, store.ErrUnavailable)
		}
		select {
		case <-closed:
			t.Error("Close() returned while calls waited")
		default:
		}
		close(d.gate)
		<-closed
		for range 3 {
			if a := <-answers; a.err != nil {
				t.Errorf("Do(%d) = %v, want nil", a.n, a.err)
			}
		}
	})
}

func TestBrokenRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(context.Context, []int) []batch.Result[int]
		want string
	}{
		{"panics", func(context.Context, []int) []batch.Result[int] { panic("boom") }, "batch: run panicked: boom"},
		{
			"too few results", func(context.Context, []int) []batch.Result[int] { return nil },
			"batch: run gave 0 results for 1 requests",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGroup(t, batch.Options[int, int]{Run: tt.run})
			for range 2 {
				if _, err := g.Do(t.Context(), 0); err == nil || err.Error() != tt.want {
					t.Errorf("Do() = %v, want %q", err, tt.want)
				}
			}
		})
	}
}

func TestNewNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := batch.New(batch.Options[int, int]{MaxBatch: -1, Parallel: -1, MinParallel: -1, Linger: -1, Wait: -1, MaxQueue: -1, Timeout: -1})
	want := strings.Join([]string{
		"batch: Options.Run is required",
		"batch: Options.MaxBatch must be positive",
		"batch: Options.Parallel must be positive",
		"batch: Options.MinParallel must be positive",
		"batch: Options.Linger must not be negative",
		"batch: Options.MaxQueue must be positive",
		"batch: Options.Timeout must be positive",
		"batch: Options.Wait must not be negative",
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("New() = %v, want %q", err, want)
	}
}

func TestConcurrentCallers(t *testing.T) {
	t.Parallel()
	d := &runner{}
	g := newGroup(t, batch.Options[int, int]{Run: d.run, MaxBatch: 7})
	var wg sync.WaitGroup
	for n := range 500 {
		wg.Go(func() {
			value, err := g.Do(t.Context(), 2*n)
			if err != nil || value != 20*n {
				t.Errorf("Do(%d) = %d, %v, want %d", 2*n, value, err, 20*n)
			}
		})
	}
	wg.Wait()
	g.Close()
	seen := make(map[int]bool)
	for _, batch := range d.batches {
		if len(batch) > 7 {
			t.Errorf("batch of %d, want 7 at most", len(batch))
		}
		for _, n := range batch {
			if seen[n] {
				t.Errorf("request %d ran twice", n)
			}
			seen[n] = true
		}
	}
	if len(seen) != 500 {
		t.Errorf("%d requests ran, want 500", len(seen))
	}
}

func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			d := func(_ context.Context, reqs []int) []batch.Result[int] {
				return make([]batch.Result[int], len(reqs))
			}
			g := newGroup(b, batch.Options[int, int]{Run: d})
			b.ReportAllocs()
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := g.Do(b.Context(), 0); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &runner{gate: make(chan struct{})}
		g := newGroup(t, batch.Options[int, int]{Run: d.run, Wait: time.Second, Timeout: time.Minute})
		answers := make(chan answer, 3)
		began := time.Now()
		for n := range 2 { // one is in batch, the other in the queue
			call(t.Context(), g, n, answers)
		}
		for range 2 {
			if a := <-answers; !errors.Is(a.err, store.ErrUnavailable) || time.Since(began) != time.Second {
				t.Errorf("Do(%d) = %v after %v, want %v after 1s", a.n, a.err, time.Since(began), store.ErrUnavailable)
			}
		}
		if n := g.Waiting(); n != 0 {
			t.Errorf("Waiting() = %d, want 0", n)
		}
		time.Sleep(time.Minute) // until the batch has timed out
		go func() { d.gate <- struct{}{} }()
		call(t.Context(), g, 2, answers)
		if a := <-answers; a.value != 20 || a.err != nil {
			t.Errorf("Do(2) after the timeout = %d, %v, want 20, nil", a.value, a.err)
		}
		if want := [][]int{{0}, {2}}; !slices.EqualFunc(d.batches, want, slices.Equal) {
			t.Errorf("batches = %v, want %v", d.batches, want)
		}
	})
}

// TestCallsAreUsedAgain checks that no caller gets the answer of another although calls
// are reused.
func TestCallsAreUsedAgain(t *testing.T) {
	t.Parallel()
	g := newGroup(t, batch.Options[int, int]{
		MaxBatch: 4, Parallel: 2, Wait: time.Second,
		Run: func(_ context.Context, reqs []int) []batch.Result[int] {
			results := make([]batch.Result[int], len(reqs))
			for i, n := range reqs {
				results[i].Value = 10 * n
			}
			return results
		},
	})
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 500 {
				n := 1000*worker + i
				ctx, cancel := context.WithCancel(t.Context())
				if i%3 == 0 {
					go cancel()
				}
				value, err := g.Do(ctx, n)
				switch {
				case err != nil && !errors.Is(err, context.Canceled):
					t.Errorf("Do(%d) = %v", n, err)
				case err == nil && value != 10*n:
					t.Errorf("Do(%d) = %d, want %d", n, value, 10*n)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}
