package blocklist_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/terse/terse/abuse/blocklist"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs collects log output. Safe for concurrent use.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// newList returns a list that Run refreshes until the test ends.
func newList(tb testing.TB, opts blocklist.Options) *blocklist.List {
	tb.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Registerer == nil {
		opts.Registerer = prometheus.NewRegistry()
	}
	opts.Every = 5 * time.Millisecond
	l, err := blocklist.New(tb.Context(), opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	tb.Cleanup(func() {
		stop()
		<-done
	})
	return l
}

// write replaces the file atomically.
func write(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	write(t, path, `
# a comment
evil.example       # with all names below it
.Bad.Example.
=only.example
.zip
bücher.example
192.0.2.1
2001:db8::1
0.0.0.0 tracker.example ads.example localhost
127.0.0.1	localhost
`)
	l := newList(t, blocklist.Options{File: path})
	for host, want := range map[string]bool{
		"evil.example": true, "www.evil.example": true, "a.b.c.evil.example": true, "bad.example": true, "x.bad.example": true,
		"only.example": true, "www.only.example": false, "notevil.example": false, "example": false, "evil.example.com": false,
		"zip": true, "file.zip": true, "zip.example": false, "xn--bcher-kva.example": true, "www.xn--bcher-kva.example": true,
		"192.0.2.1": true, "192.0.2.2": false, "1.192.0.2.1": true, "2001:db8::1": true, "2001:db8::2": false,
		"tracker.example": true, "ads.example": true, "localhost": false, "": false,
	} {
		if got := l.Blocks(host); got != want {
			t.Errorf("Blocks(%q) = %t, want %t", host, got, want)
		}
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"ok.example\nevil example\n":                   "line 2: must be one host",
		"com\n":                                        "line 1: \"com\": host: must have a dot in front",
		"https://evil.example/\n":                      "line 1",
		"10.0.0.1 evil.example\n":                      "line 1: must be one host",
		"ok.example\n\n" + strings.Repeat("a", 70_000): "too long",
		"a b\nc d\ne f\ng h\ni j\nk l\n":               "line 5",
	} {
		path := filepath.Join(t.TempDir(), "hosts")
		write(t, path, content)
		err := blocklist.CheckFile(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("CheckFile() of %.40q = %v, want the path and %q", content, err, want)
		}
		if strings.Contains(fmt.Sprint(err), "line 6") {
			t.Errorf("CheckFile() = %v, want at most five problems", err)
		}
		if _, err := blocklist.New(t.Context(), blocklist.Options{
			File: path, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		}); err == nil {
			t.Errorf("New() of %.40q = nil, want an error", content)
		}
	}
	if err := blocklist.CheckFile(filepath.Join(t.TempDir(), "nope")); err == nil {
		t.Error("CheckFile() of a missing file = nil, want an error")
	}
}

func TestFileIsFollowed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	write(t, path, "one.example\n")
	log, registry := &logs{}, prometheus.NewRegistry()
	l := newList(t, blocklist.Options{File: path, Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: registry})
	first := l.Fingerprint()
	write(t, path, "two.example\n")
	testenv.Await(t, "the second file", func() bool { return l.Blocks("two.example") && !l.Blocks("one.example") })
	second := l.Fingerprint()
	if first == second {
		t.Error("Fingerprint() did not change with the list")
	}

	write(t, path, "three.example\nnot a host\n")
	testenv.Await(t, "the log of the bad file", func() bool { return log.count("blocklist cannot be read") == 1 })
	if !l.Blocks("two.example") || l.Blocks("three.example") || l.Fingerprint() != second {
		t.Error("an invalid file replaced the valid one")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !l.Blocks("two.example") {
		t.Error("hosts were unblocked because the file was removed")
	}
	write(t, path, "four.example\n")
	testenv.Await(t, "the good file", func() bool { return l.Blocks("four.example") && log.count("blocklist is read again") == 1 })
	if n := log.count("blocklist cannot be read"); n != 1 {
		t.Errorf("the failure was logged %d times, want once", n)
	}
	if n, err := testutil.GatherAndCount(registry, "terse_blocklist_failures_total"); err != nil || n != 1 {
		t.Errorf("GatherAndCount() = %d, %v, want 1", n, err)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP terse_blocklist_hosts Blocked hosts, by source: the file or the database of a shard.
# TYPE terse_blocklist_hosts gauge
terse_blocklist_hosts{shard="",source="file"} 1
`), "terse_blocklist_hosts"); err != nil {
		t.Error(err)
	}
}

// flaky is a source that a test can make fail.
type flaky struct {
	store.BlocklistSource

	mu    sync.Mutex
	down  bool
	reads int // that succeeded
}

func (f *flaky) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

func (f *flaky) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *flaky) BlocklistVersion(ctx context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return 0, store.ErrUnavailable
	}
	f.reads++
	return f.BlocklistSource.BlocklistVersion(ctx)
}

func TestSourcesAreFollowed(t *testing.T) {
	t.Parallel()
	database := sqlitetest.Open(t)
	block := func(host string) {
		t.Helper()
		if err := database.BlockHost(t.Context(), store.BlockedHost{Pattern: store.HostPattern{Host: host}}); err != nil {
			t.Fatal(err)
		}
	}
	block("before.example")
	source := &flaky{BlocklistSource: database, down: true}
	l := newList(t, blocklist.Options{Sources: []blocklist.Source{{Name: "s1", List: source}}})
	if l.Blocks("before.example") {
		t.Error("Blocks() knows a host of an unreachable source")
	}
	source.set(false)
	testenv.Await(t, "the host blocked before the outage", func() bool { return l.Blocks("before.example") })
	block("later.example")
	testenv.Await(t, "the host blocked later", func() bool { return l.Blocks("a.later.example") })
	source.set(true)
	block("meanwhile.example")
	if !l.Blocks("later.example") {
		t.Error("hosts of an unreachable source were unblocked")
	}
	source.set(false)
	testenv.Await(t, "the host blocked during the outage", func() bool { return l.Blocks("meanwhile.example") })
	if err := database.UnblockHost(t.Context(), store.HostPattern{Host: "later.example"}); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "the unblocked host", func() bool { return !l.Blocks("later.example") })
}

// TestMissed checks which periods are reported as missed: those in which the process could not
// read the list, and the list had another content.
func TestMissed(t *testing.T) {
	t.Parallel()
	database := sqlitetest.Open(t)
	start := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	var passed atomic.Int64
	source := &flaky{BlocklistSource: database, down: true}
	l := newList(t, blocklist.Options{
		Sources: []blocklist.Source{{Name: "s1", List: source}},
		Now:     func() time.Time { return start.Add(time.Duration(passed.Load())) },
	})
	want := func(what string, after int, since time.Time, latest int) {
		t.Helper()
		if gotSince, got := l.Missed(after); !gotSince.Equal(since) || got != latest {
			t.Errorf("%s: Missed(%d) = %v, %d, want %v, %d", what, after, gotSince, got, since, latest)
		}
	}
	changed := 0
	change := func() {
		t.Helper()
		changed++
		host := fmt.Sprintf("%d.example", changed)
		if err := database.BlockHost(t.Context(), store.BlockedHost{Pattern: store.HostPattern{Host: host}}); err != nil {
			t.Fatal(err)
		}
		source.set(false)
		testenv.Await(t, "the change", func() bool { return l.Blocks(host) })
	}
	want("at first", 0, time.Time{}, 0)
	change()
	testenv.Await(t, "the end of the first period", func() bool { _, n := l.Missed(0); return n > 0 })
	want("after a start without the source", 0, start, 1)
	change()
	want("after a change", 1, time.Time{}, 1)

	source.set(true)
	lost := start.Add(time.Duration(passed.Load()))
	passed.Add(int64(time.Minute))
	change()
	testenv.Await(t, "the end of the second period", func() bool { _, n := l.Missed(0); return n > 1 })
	want("after an outage", 1, lost, 2)
	want("of all periods", 0, start, 2)

	source.set(true)
	passed.Add(int64(time.Minute))
	source.set(false)
	reads := source.count()
	testenv.Await(t, "two reads", func() bool { return source.count() > reads+1 })
	want("after an outage without a change", 2, time.Time{}, 2)

	for n := 3; n < 200; n++ {
		source.set(true)
		passed.Add(int64(time.Minute))
		change()
		testenv.Await(t, "the end of a period", func() bool { _, latest := l.Missed(0); return latest == n })
	}
	want("of many periods", 0, start, 199)
}

// TestMemory checks that a host takes 16 bytes at most: eight bytes of its hash, and
// the same again for the allocator and sorting.
func TestMemory(t *testing.T) {
	const n = 300_000
	path := filepath.Join(t.TempDir(), "hosts")
	var content strings.Builder
	for i := range n {
		fmt.Fprintf(&content, "phishing-site-%d.some-hoster.example\n", i)
	}
	write(t, path, content.String())
	content.Reset()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l, err := blocklist.New(t.Context(), blocklist.Options{
		File: path, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	per := float64(heap()-before) / n
	if !l.Blocks("phishing-site-7.some-hoster.example") {
		t.Error("Blocks() does not know the list")
	}
	if per > 16 {
		t.Errorf("a host takes %.1f bytes, want 16 at most", per)
	}
	t.Logf("%.1f bytes a host", per)
}

func BenchmarkBlocks(b *testing.B) {
	path := filepath.Join(b.TempDir(), "hosts")
	var content strings.Builder
	for i := range 500_000 {
		fmt.Fprintf(&content, "phishing-site-%d.some-hoster.example\n", i)
	}
	write(b, path, content.String())
	l := newList(b, blocklist.Options{File: path})
	for name, host := range map[string]string{"blocked": "phishing-site-77.some-hoster.example", "allowed": "www.example.com"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Blocks(host)
			}
		})
	}
}
