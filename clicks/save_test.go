package clicks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/spool"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/internal/testenv"
)

func openSpool(tb testing.TB, dir string, maxBytes int64) *spool.Spool {
	tb.Helper()
	s, err := spool.Open(tb.Context(), spool.Options{Dir: dir, MaxBytes: maxBytes, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatalf("Open = %v", err)
	}
	tb.Cleanup(func() { _ = s.Close() }) // has no effect when the test has closed it already
	return s
}

// clickFiles returns the names of the files with batches.
func clickFiles(tb testing.TB, dir string) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.clicks*"))
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

func down(int) (bool, error) { return false, errDown }

// closeSoon closes a recorder, although its sink may be down.
func closeSoon(tb testing.TB, r *clicks.Recorder) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Millisecond)
	defer cancel()
	return r.Close(ctx)
}

// TestSavesUntilTheNextStart ends a process while the sink is down, and once the sink has added a
// batch without an answer. The next process sends the same batches again, and each click counts once.
func TestSavesUntilTheNextStart(t *testing.T) {
	t.Parallel()
	for _, added := range []bool{false, true} { // true: the sink adds the batches and then returns an error
		t.Run(fmt.Sprint("added=", added), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files := openSpool(t, dir, 0)
			s := sink{answer: func(int) (bool, error) { return added, errDown }}
			r, reg := newRecorder(t, clicks.Options{Sink: &s, Spool: files})
			now := time.Now()
			for i := range 30 {
				c := click(fmt.Sprint("code", i%7), now)
				c.Address = netip.MustParseAddr("192.0.2.77")
				r.Record(c)
			}
			if err := closeSoon(t, r); err != nil {
				t.Errorf("Close = %v, want nil: no click is lost", err)
			}
			if got := gather(t, reg); got["spooled"] != 30 || got["pending"] != 30 || got["dropped shutdown"] != 0 {
				t.Errorf("metrics = %v, want 30 clicks pending and spooled", got)
			}
			for _, name := range clickFiles(t, dir) {
				content, err := os.ReadFile(name)
				if err != nil || bytes.Contains(content, []byte("Firefox/133")) || bytes.Contains(content, []byte("192.0.2.77")) {
					t.Errorf("file %s = %q, %v, want no User-Agent and no address", name, content, err)
				}
			}
			if err := files.Close(); err != nil {
				t.Fatal(err)
			}

			s.answer = nil
			next, reg := newRecorder(t, clicks.Options{Sink: &s, Spool: openSpool(t, dir, 0)})
			next.Record(click("code0", now))
			if err := next.Flush(t.Context()); err != nil {
				t.Fatalf("Flush = %v", err)
			}
			if got := s.sum(); got != 31 || s.totals["code0"].N != 6 {
				t.Errorf("counted %d clicks, %d of code0, want 31 and 6", got, s.totals["code0"].N)
			}
			want := map[string]float64{"recorded": 1, "restored": 30, "flushed": 31, "pending": 0, "spooled": 0}
			if got := gather(t, reg); !contains(got, want) {
				t.Errorf("metrics = %v, want %v", got, want)
			}
			if names := clickFiles(t, dir); len(names) > 0 {
				t.Errorf("the spool has %v, want nothing", names)
			}
		})
	}
}

func contains(got, want map[string]float64) bool {
	for name, value := range want {
		if got[name] != value {
			return false
		}
	}
	return true
}

// TestSavesEverySecond checks that clicks are in files a second after they were recorded, while the
// sink fails or does not answer. A killed process loses only the clicks of that second.
func TestSavesEverySecond(t *testing.T) {
	t.Parallel()
	for what, s := range map[string]*sink{
		"fails": {answer: down},
		"hangs": {onAdd: func(ctx context.Context) { <-ctx.Done() }, answer: down},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				files := openSpool(t, dir, 0)
				r, reg := newRecorder(t, clicks.Options{Sink: s, Spool: files, FlushEvery: time.Second})
				time.Sleep(3500 * time.Millisecond) // now the recorder knows that the sink does not work
				r.Record(click("a", time.Now()))
				time.Sleep(5 * time.Second) // a recorder that has just noticed
				for i := range 60 {
					r.Record(click("a", time.Now()))
					time.Sleep(1100 * time.Millisecond)
					synctest.Wait()
					if got := gather(t, reg); got["spooled"] != float64(i+2) {
						t.Errorf("a second after click %d, %v clicks are in files", i+2, got["spooled"])
					}
				}
				_ = closeSoon(t, r)
			})
		})
	}
}

// TestSavesNothingWhileTheSinkWorks checks that the disk is not used without need.
func TestSavesNothingWhileTheSinkWorks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := sink{onAdd: func(context.Context) {
			time.Sleep(300 * time.Millisecond)
			if names := clickFiles(t, dir); len(names) > 0 {
				t.Errorf("the spool has %v, want nothing", names)
			}
		}}
		r, _ := newRecorder(t, clicks.Options{Sink: &s, Spool: openSpool(t, dir, 0), FlushEvery: time.Second})
		for range 100 {
			r.Record(click("a", time.Now()))
			time.Sleep(time.Second / 5)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close = %v", err)
		}
		if got := s.sum(); got != 100 {
			t.Errorf("counted = %d, want 100", got)
		}
	})
}

// TestSpoolBound fills the files and then the memory. Every click is counted, or dropped and in the
// metric.
func TestSpoolBound(t *testing.T) {
	t.Parallel()
	const bound = 64 << 10
	dir := t.TempDir()
	files := openSpool(t, dir, bound)
	s := sink{answer: down}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, Spool: files, FlushEvery: time.Millisecond, MaxBytes: 1 << 20})
	recorded := 0
	for gather(t, reg)["dropped full"] == 0 {
		for range 100 {
			r.Record(click(fmt.Sprint("code", recorded), time.Now()))
			recorded++
		}
		_ = r.Flush(t.Context()) // classifies them
		testenv.Await(t, "a save", func() bool {
			got := gather(t, reg)
			return got["spooled"] == float64(recorded) || got["spool_failures"] > 0
		})
		var size int64
		for _, name := range clickFiles(t, dir) {
			if info, err := os.Stat(name); err == nil && !strings.HasSuffix(name, ".new") {
				size += info.Size()
			}
		}
		if size > bound {
			t.Fatalf("the files have %d bytes, want at most %d", size, bound)
		}
	}
	before := gather(t, reg)
	if before["spooled"] == 0 || before["spooled"] >= before["pending"] || before["spool_failures"] == 0 {
		t.Errorf("metrics = %v, want clicks in files and in memory, and failures", before)
	}
	s.mu.Lock()
	s.answer = nil
	s.mu.Unlock()
	if err := r.Close(t.Context()); err != nil {
		t.Errorf("Close = %v", err)
	}
	got := gather(t, reg)
	if counted, dropped := float64(s.sum()), got["dropped full"]; counted != float64(recorded)-dropped || got["flushed"] != counted {
		t.Errorf("counted %v of %d clicks with metrics %v, want the rest to be dropped", counted, recorded, got)
	}
	if names := clickFiles(t, dir); len(names) > 0 {
		t.Errorf("the spool has %v, want nothing", names)
	}
}

// TestSpoolFails makes the folder unusable: clicks wait in memory, and are written once it works.
func TestSpoolFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	files := openSpool(t, dir, 0)
	s := sink{answer: down}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, Spool: files, FlushEvery: 10 * time.Millisecond})
	away := dir + ".away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	r.Record(click("a", time.Now()))
	testenv.Await(t, "failed writes", func() bool { return gather(t, reg)["spool_failures"] > 1 })
	if got := gather(t, reg); got["spooled"] != 0 || got["pending"] != 1 {
		t.Errorf("metrics = %v, want one click in memory", got)
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "a file", func() bool { return gather(t, reg)["spooled"] == 1 })
	_ = closeSoon(t, r)
}

// TestOldBatchesAreDropped checks that no batch is sent that the sink may have forgotten.
func TestOldBatchesAreDropped(t *testing.T) {
	t.Parallel()
	for _, spooled := range []bool{false, true} {
		t.Run(fmt.Sprint("spooled=", spooled), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := sink{answer: down}
				opts := clicks.Options{Sink: &s}
				if spooled {
					opts.Spool = openSpool(t, dir, 0)
				}
				r, reg := newRecorder(t, opts)
				r.Record(click("a", time.Now()))
				_ = r.Flush(t.Context()) // makes a batch
				s.mu.Lock()
				s.answer = nil
				s.mu.Unlock()
				_ = r.Flush(t.Context())
				s.mu.Lock()
				s.answer = down
				s.mu.Unlock()
				r.Record(click("old", time.Now()))
				_ = r.Flush(t.Context())
				time.Sleep(6*24*time.Hour + 3*time.Hour)
				s.mu.Lock()
				s.answer = nil
				s.mu.Unlock()
				if err := r.Flush(t.Context()); err != nil {
					t.Errorf("Flush = %v", err)
				}
				if lost := s.lost(t); lost != 1 {
					t.Errorf("without a new click the batches have %d lost clicks, want 1", lost)
				}
				r.Record(click("new", time.Now()))
				if err := r.Flush(t.Context()); err != nil {
					t.Errorf("Flush = %v", err)
				}
				want := map[string]float64{"recorded": 3, "flushed": 2, "dropped old": 1, "pending": 0, "spooled": 0}
				if got := gather(t, reg); !contains(got, want) || s.totals["old"].N != 0 || s.totals["new"].N != 1 {
					t.Errorf("metrics = %v and totals = %v, want %v", got, s.totals, want)
				}
				if names := clickFiles(t, dir); len(names) > 0 {
					t.Errorf("the spool has %v, want nothing", names)
				}
				if lost := s.lost(t); lost != 1 {
					t.Errorf("the batches have %d lost clicks, want 1", lost)
				}
				_ = closeSoon(t, r)
			})
		})
	}
}

// TestDamagedFileIsSkipped checks that a damaged file blocks no other file, and that its clicks are
// in a metric.
func TestDamagedFileIsSkipped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var s sink
	for i := range 3 {
		files := openSpool(t, dir, 0)
		broken := sink{answer: down}
		r, _ := newRecorder(t, clicks.Options{Sink: &broken, Spool: files})
		for range i + 1 {
			r.Record(click(fmt.Sprint("code", i), time.Now()))
		}
		if err := closeSoon(t, r); err != nil {
			t.Fatalf("Close = %v", err)
		}
		if err := files.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range clickFiles(t, dir) {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("code1")) {
			if err := os.WriteFile(name, content[:len(content)-20], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, Spool: openSpool(t, dir, 0)})
	if err := r.Flush(t.Context()); err != nil {
		t.Fatalf("Flush = %v", err)
	}
	want := map[string]float64{"restored": 6, "flushed": 4, "dropped damaged": 2, "pending": 0, "spooled": 0}
	if got := gather(t, reg); !contains(got, want) || s.totals["code0"].N != 1 || s.totals["code2"].N != 3 {
		t.Errorf("metrics = %v and totals = %v, want %v", got, s.totals, want)
	}
	if names := clickFiles(t, dir); len(names) != 1 || !strings.HasSuffix(names[0], ".damaged") {
		t.Errorf("the spool has %v, want the damaged file", names)
	}
}

// TestSavesAndFlushesAtTheSameTime records while the sink fails at random and saves compete with
// flushes. Processes end, and the next ones continue. Each click counts once.
func TestSavesAndFlushesAtTheSameTime(t *testing.T) {
	t.Parallel()
	const recorders, each, processes = 4, 20_000, 3
	dir := t.TempDir()
	random := func(int) (bool, error) {
		switch rand.IntN(4) {
		case 0:
			return true, errDown
		case 1:
			return false, errDown
		}
		return true, nil
	}
	s := sink{answer: random, onAdd: func(context.Context) { time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond) }}
	flushed, restored := 0.0, 0.0
	for range processes {
		files := openSpool(t, dir, 0)
		r, reg := newRecorder(t, clicks.Options{Sink: &s, Spool: files, FlushEvery: time.Millisecond, MaxBatch: 3})
		var wg sync.WaitGroup
		for range recorders {
			wg.Go(func() {
				for i := range each {
					r.Record(click(fmt.Sprint("code", i%50), time.Now()))
					if i%1000 == 0 {
						_ = r.Flush(t.Context())
					}
				}
			})
		}
		wg.Wait()
		if err := closeSoon(t, r); err != nil {
			t.Errorf("Close = %v", err)
		}
		got := gather(t, reg)
		flushed, restored = flushed+got["flushed"], restored+got["restored"]
		if sum := got["recorded"] + got["restored"]; sum != got["flushed"]+got["pending"] || got["pending"] != got["spooled"] {
			t.Errorf("metrics = %v, want %v clicks to be flushed or in files", got, sum)
		}
		if err := files.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	s.answer, s.onAdd = nil, nil
	s.mu.Unlock()
	r, _ := newRecorder(t, clicks.Options{Sink: &s, Spool: openSpool(t, dir, 0)})
	if err := r.Close(t.Context()); err != nil {
		t.Errorf("Close = %v", err)
	}
	if got := s.sum(); got != processes*recorders*each {
		t.Errorf("counted = %d, want %d", got, processes*recorders*each)
	}
	for code, c := range s.totals {
		if c.N != processes*recorders*each/50 {
			t.Errorf("counted for %q = %d, want %d", code, c.N, processes*recorders*each/50)
		}
	}
	if names := clickFiles(t, dir); len(names) > 0 {
		t.Errorf("the spool has %v, want nothing", names)
	}
	t.Logf("%v clicks were flushed and %v restored", flushed, restored)
}

// TestSpoolOfShards checks that each shard sends its own files, and that the first one sends the files
// of a shard that is not there any more.
func TestSpoolOfShards(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shardOf := func(code string) int { return int(code[0] - '1') }
	opts := clicks.Options{Sink: &sink{answer: down}, Visits: visits(), Logger: slog.New(slog.DiscardHandler), FlushEvery: time.Hour}
	files := openSpool(t, dir, 0)
	opts.Spool, opts.Registerer = files, prometheus.NewRegistry()
	b, err := clicks.NewByShard(opts, []string{"s1", "s2", "gone"}, shardOf)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for range i + 1 {
			b.Record(clicks.Click{Key: fmt.Sprint(i+1, "code"), At: time.Now(), Request: visit.Request{UserAgent: firefox}})
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := errors.Join(b.Close(ctx), files.Close()); err != nil {
		t.Fatal(err)
	}

	var s sink
	reg := prometheus.NewRegistry()
	opts.Sink, opts.Spool, opts.Registerer = &s, openSpool(t, dir, 0), reg
	b, err = clicks.NewByShard(opts, []string{"s1", "s2"}, shardOf)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"restored s1": 1 + 3, "restored s2": 2}
	if got := gather(t, reg); !contains(got, want) {
		t.Errorf("metrics = %v, want %v", got, want)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("Close = %v", err)
	}
	if got := s.sum(); got != 6 || s.totals["3code"].N != 3 {
		t.Errorf("totals = %v, want 6 clicks, 3 of them for 3code", s.totals)
	}
}
