//go:build unix

package spool_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/spool"
	"github.com/terse/terse/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a spool that ends with the test, with its log and its metrics.
func open(t *testing.T, dir string, maxBytes int64) (*spool.Spool, *bytes.Buffer, *prometheus.Registry) {
	t.Helper()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := spool.Open(t.Context(), spool.Options{Dir: dir, MaxBytes: maxBytes, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, &log, reg
}

// newBatches returns n batches of a recorder with several links, days and robots. The first number
// is seq.
func newBatches(recorder string, seq int64, n int) []store.ClickBatch {
	batches := make([]store.ClickBatch, n)
	for i := range batches {
		var d day.Day
		d.Add(day.Click{Quarter: 40, Values: [day.Dimensions]string{day.Class: day.Person, day.Country: "DE"}, N: 3, Visitor: 77})
		data := d.Append(nil)
		batches[i] = store.ClickBatch{
			Recorder: recorder, Seq: seq + int64(i),
			Counts: []store.ClickCount{
				{Code: "abc", N: 3, Last: time.Date(2026, 5, 1, 10, 0, 0, 123_456_000, time.UTC)},
				{Code: "domain001/x", Robots: 2},
			},
			Days: []store.ClickDay{{Key: "abc", Day: 20574, Data: data}, {Key: "domain001/x", Day: 20573, Data: data}},
		}
	}
	return batches
}

func write(t *testing.T, s *spool.Spool, batches []store.ClickBatch) *spool.File {
	t.Helper()
	f, err := s.Write("s1", time.Now(), batches)
	if err != nil {
		t.Fatalf("Write = %v", err)
	}
	return f
}

// files returns the names in a folder, without the lock.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "spool.lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesOfEarlierProcesses checks that another process reads all batches, in order.
func TestFilesOfEarlierProcesses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	first, _, _ := open(t, dir, 0)
	recorder, cut := rand.Text(), time.Now().Add(-time.Hour).Round(0)
	want := [][]store.ClickBatch{newBatches(recorder, 9, 3), newBatches(recorder, 12, 1), newBatches(recorder, 100, 2)}
	for _, i := range []int{1, 2, 0} {
		f, err := first.Write("s1", cut, want[i])
		must(t, err)
		if got, err := f.Read(); err != nil || !reflect.DeepEqual(got, want[i]) {
			t.Errorf("Read = %+v, %v, want %+v", got, err, want[i])
		}
	}
	must(t, first.Close())

	second, log, reg := open(t, dir, 0)
	left := second.Left()
	if len(left) != len(want) || log.Len() > 0 {
		t.Fatalf("Left has %d files with the log %q, want %d files", len(left), log, len(want))
	}
	for i, f := range left {
		got, err := f.Read()
		if err != nil || !reflect.DeepEqual(got, want[i]) {
			t.Errorf("Read of file %d = %+v, %v, want %+v", i, got, err, want[i])
		}
		if f.Shard != "s1" || !f.Cut.Equal(cut) || f.Batches != len(want[i]) || f.Clicks != int64(5*len(want[i])) {
			t.Errorf("file %d = %+v, want shard s1, %v, %d batches with 5 clicks each", i, f, cut, len(want[i]))
		}
		if got := testutil.ToFloat64(gauge(t, reg)); got != float64(4096*(len(left)-i)) {
			t.Errorf("terse_clicks_spool_bytes before file %d is removed = %v, want %d", i, got, 4096*(len(left)-i))
		}
		must(t, f.Remove())
	}
	if names := files(t, dir); len(names) > 0 {
		t.Errorf("the folder has %v, want nothing", names)
	}
}

// gauge returns terse_clicks_spool_bytes as a collector.
func gauge(t *testing.T, reg *prometheus.Registry) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "terse_clicks_spool_bytes" {
			g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "bytes", Help: "Disk space."})
			g.Set(f.GetMetric()[0].GetGauge().GetValue())
			return g
		}
	}
	t.Fatal("terse_clicks_spool_bytes is missing")
	return nil
}

// TestDamagedFiles changes a file in many ways. No process reads wrong clicks from it, and none fails.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t, t.TempDir(), 0)
	recorder := rand.Text()
	batches := newBatches(recorder, 1, 3)
	f := write(t, s, batches)
	must(t, f.Remove())
	f = write(t, s, batches)
	folder := t.TempDir()
	donor, _, _ := open(t, folder, 0)
	write(t, donor, batches)
	name := files(t, folder)[0]
	content, err := os.ReadFile(filepath.Join(folder, name))
	must(t, err)
	if got, err := f.Read(); err != nil || !reflect.DeepEqual(got, batches) {
		t.Fatalf("Read of an unchanged file = %v, %v", got, err)
	}

	changed := map[string][]byte{
		"empty": nil, "text": []byte("hello\n"), "JSON": []byte("{}\n"), "zeros": make([]byte, len(content)),
		"twice": append(bytes.Clone(content), content...), "more": append(bytes.Clone(content), 'x'), "another line": append(bytes.Clone(content), '\n'),
		"other format": bytes.Replace(content, []byte(`"format":1`), []byte(`"format":2`), 1),
		"large":        make([]byte, 65<<20),
	}
	for i := 0; i < len(content); i += 7 {
		changed[fmt.Sprint("first ", i)] = content[:i]
		changed[fmt.Sprint("without ", i)] = append(bytes.Clone(content[:i]), content[i+1:]...)
		flipped := bytes.Clone(content)
		flipped[i] ^= 1
		changed[fmt.Sprint("flipped ", i)] = flipped
	}
	for what, content := range changed {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		wantDamaged(t, what, dir)
	}
	other := strings.Replace(name, recorder, rand.Text(), 1)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, other), content, 0o600))
	wantDamaged(t, "the name of another recorder", dir)
	dir = t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, strings.Replace(name, "001", "002", 1)), content, 0o600))
	wantDamaged(t, "the name of another batch", dir)
}

// wantDamaged checks that a folder has one file, which is set aside at the start or when it is read.
func wantDamaged(t *testing.T, what, dir string) {
	t.Helper()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := spool.Open(t.Context(), spool.Options{Dir: dir, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Errorf("%s: Open = %v", what, err)
		return
	}
	defer func() { must(t, s.Close()) }()
	for _, f := range s.Left() {
		got, err := f.Read()
		if !errors.Is(err, spool.ErrDamaged) {
			t.Errorf("%s: Read = %v, %v, want %v", what, got, err, spool.ErrDamaged)
			return
		}
		f.SetAside(t.Context(), err)
	}
	names := files(t, dir)
	if len(names) != 1 || !strings.HasSuffix(names[0], ".clicks.damaged") || !strings.Contains(log.String(), names[0]) {
		t.Errorf("%s: the folder has %v and the log is %q, want one damaged file in both", what, names, &log)
	}
	if got := testutil.ToFloat64(gauge(t, reg)); got != 0 {
		t.Errorf("%s: terse_clicks_spool_bytes = %v, want 0", what, got)
	}
}

// forge writes a file with a right checksum.
func forge(t *testing.T, dir string, batches []store.ClickBatch) {
	t.Helper()
	s, _, _ := open(t, dir, 0)
	write(t, s, batches)
	must(t, s.Close())
}

// TestBatchesThatNoStoreAccepts checks that files with a right checksum are checked, too: they would
// block all files after them.
func TestBatchesThatNoStoreAccepts(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(b *store.ClickBatch){
		"code":     func(b *store.ClickBatch) { b.Counts[0].Code = "a b" },
		"no code":  func(b *store.ClickBatch) { b.Counts[0].Code = "" },
		"negative": func(b *store.ClickBatch) { b.Counts[0].N = -1; b.Counts[0].Robots = 4 },
		"data":     func(b *store.ClickBatch) { b.Days[0].Data = []byte("x") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			batches, dir := newBatches(rand.Text(), 1, 1), t.TempDir()
			change(&batches[0])
			forge(t, dir, batches)
			wantDamaged(t, what, dir)
		})
	}
}

// TestForeignFiles checks that files of other programs stay as they are, and that a start does not
// wait for a FIFO.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := func(n int) string { return fmt.Sprintf("%s.%019d.clicks", rand.Text(), n) }
	must(t, os.WriteFile(filepath.Join(dir, "README"), []byte("hello"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "x.clicks.new"), []byte("hello"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, name(1)), 0o700))
	must(t, os.Symlink("/nowhere", filepath.Join(dir, name(2))))
	must(t, syscall.Mkfifo(filepath.Join(dir, name(3)), 0o600))
	before := files(t, dir)
	s, log, _ := open(t, dir, 0)
	if got := files(t, dir); !reflect.DeepEqual(got, before) || len(s.Left()) > 0 {
		t.Errorf("the folder has %v and %d files of batches, want %v and none", got, len(s.Left()), before)
	}
	if !strings.Contains(log.String(), "files=5") {
		t.Errorf("log = %q, want a warning about 5 files", log)
	}
}

// TestIncompleteFiles checks that the file of a killed write is removed.
func TestIncompleteFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, rand.Text()+".0000000000000000001.clicks.new"), []byte(`{"format":1`), 0o600))
	s, log, _ := open(t, dir, 0)
	if names := files(t, dir); len(names) > 0 || len(s.Left()) > 0 || log.Len() > 0 {
		t.Errorf("the folder has %v and the log is %q, want nothing", names, log)
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, log, _ := open(t, dir, 0)
	f := write(t, s, newBatches(rand.Text(), 1, 1))
	must(t, os.Remove(filepath.Join(dir, files(t, dir)[0])))
	_, err := f.Read()
	if !errors.Is(err, spool.ErrDamaged) {
		t.Errorf("Read of a missing file = %v, want %v", err, spool.ErrDamaged)
	}
	f.SetAside(t.Context(), err)
	if !strings.Contains(log.String(), "no such file") {
		t.Errorf("log = %q, want the reason", log)
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _, _ := open(t, dir, 2*4096)
	recorder := rand.Text()
	first := write(t, s, newBatches(recorder, 1, 1))
	write(t, s, newBatches(recorder, 2, 1))
	if f, err := s.Write("s1", time.Now(), newBatches(recorder, 3, 1)); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Write beyond the bound = %v, %v, want %v", f, err, spool.ErrFull)
	}
	if names := files(t, dir); len(names) != 2 {
		t.Errorf("the folder has %v, want two files", names)
	}
	must(t, first.Remove())
	write(t, s, newBatches(recorder, 3, 1))
	must(t, s.Close())

	again, _, _ := open(t, dir, 2*4096) // counts the files of the earlier process
	if _, err := again.Write("s1", time.Now(), newBatches(rand.Text(), 1, 1)); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Write after a restart = %v, want %v", err, spool.ErrFull)
	}
}

// TestFailedWriteLeavesNothing makes writes fail by a folder that is missing.
func TestFailedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _, reg := open(t, dir, 0)
	away := dir + ".away"
	must(t, os.Rename(dir, away))
	recorder := rand.Text()
	if _, err := s.Write("s1", time.Now(), newBatches(recorder, 1, 1)); err == nil || errors.Is(err, spool.ErrFull) {
		t.Errorf("Write without a folder = %v, want another error than %v", err, spool.ErrFull)
	}
	if got := testutil.ToFloat64(gauge(t, reg)); got != 0 {
		t.Errorf("terse_clicks_spool_bytes = %v, want 0", got)
	}
	must(t, os.Rename(away, dir))
	write(t, s, newBatches(recorder, 1, 1))
}

func TestOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _, _ := open(t, dir, 0)
	opts := spool.Options{Dir: dir, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}
	if _, err := spool.Open(t.Context(), opts); !errors.Is(err, spool.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open = %v, want %v with the folder", err, spool.ErrLocked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := spool.Open(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("second Open with an ended context = %v, want %v", err, context.Canceled)
	}
	must(t, s.Close())
	open(t, dir, 0)
}

func TestOpenReportsProblems(t *testing.T) {
	t.Parallel()
	_, err := spool.Open(t.Context(), spool.Options{MaxBytes: -1})
	for _, field := range []string{"Dir", "Registerer", "Logger", "MaxBytes"} {
		if err == nil || !strings.Contains(err.Error(), "spool: Options."+field+" ") {
			t.Errorf("Open = %v, want an error for %s", err, field)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := spool.Open(t.Context(), spool.Options{Dir: file, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("Open of a file = nil, want an error")
	}
}
