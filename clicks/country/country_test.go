package country_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/terse/terse/clicks/country"
	"github.com/terse/terse/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The files in testdata are test data of the MaxMind DB format (github.com/maxmind/MaxMind-DB at
// 2f18851d).
const (
	countries = "testdata/GeoLite2-Country-Test.mmdb"
	networks  = "testdata/GeoLite2-ASN-Test.mmdb" // without countries
)

func newFinder(t *testing.T, opts country.Options) (*country.Finder, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	opts.Registerer = reg
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := country.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return f, reg
}

func TestOf(t *testing.T) {
	t.Parallel()
	table, _ := newFinder(t, country.Options{})
	file, _ := newFinder(t, country.Options{File: countries})
	for _, tt := range []struct{ addr, table, file string }{
		{"8.8.8.8", "US", "US"}, // not in the file
		{"::ffff:8.8.8.8", "US", "US"},
		{"193.99.144.80", "DE", "DE"},
		{"67.43.156.1", "US", "BT"}, // the file comes first
		{"::ffff:67.43.156.1", "US", "BT"},
		{"2003:1::1", "DE", "DE"},
		{"2a02:cf40::1", "DK", "NO"},
		{"127.0.0.1", "", ""},
		{"10.1.2.3", "", ""},
		{"0.0.0.0", "", ""},
		{"0.0.0.1", "", ""},
		{"255.255.255.255", "", ""},
		{"fe80::1%eth0", "", ""},
		{"fd00::1", "", ""},
		{"::", "", ""},
		{"::2", "", ""},
		{"ffff::1", "", ""},
	} {
		addr := netip.MustParseAddr(tt.addr)
		if got := table.Of(addr); got != tt.table {
			t.Errorf("Of(%s) with the table = %q, want %q", addr, got, tt.table)
		}
		if got := file.Of(addr); got != tt.file {
			t.Errorf("Of(%s) with the file = %q, want %q", addr, got, tt.file)
		}
	}
	if got := table.Of(netip.Addr{}); got != "" {
		t.Errorf("Of(no address) = %q", got)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"DE": "DE", "de": "DE", "XK": "XK",
		"XX": "", "T1": "", "ZZ": "", "": "", "DEU": "", "D": "", "D\x00": "", "\xc3\x84": "", "<b": "", "De, FR": "",
	} {
		if got := country.Header(value); got != want {
			t.Errorf("Header(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestCheckFile(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{"": true, countries: true, networks: false, text: false, "/no/such/file": false, t.TempDir(): false} {
		if err := country.CheckFile(path); (err == nil) != ok {
			t.Errorf("CheckFile(%q) = %v, want an error: %t", path, err, !ok)
		}
	}
	if _, err := country.New(country.Options{}); err == nil || strings.Count(err.Error(), "required") != 2 {
		t.Errorf("New without options = %v, want both problems", err)
	}
}

// TestReload replaces the file by invalid ones and by a valid one.
func TestReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "countries.mmdb")
	good, err := os.ReadFile(countries)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace(good)
	var log buffer
	f, reg := newFinder(t, country.Options{File: path, CheckEvery: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var running sync.WaitGroup
	running.Go(func() { f.Run(t.Context()) })
	t.Cleanup(running.Wait)

	addr := netip.MustParseAddr("67.43.156.1") // US in the table
	want := func(step, want string) {
		t.Helper()
		if got := f.Of(addr); got != want {
			t.Errorf("Of %s = %q, want %q", step, got, want)
		}
	}
	want("at first", "BT")
	failures := func() float64 {
		n, err := testutil.GatherAndCount(reg, "terse_country_file_failures_total")
		if err != nil || n != 1 {
			t.Fatalf("%d series, %v", n, err)
		}
		all, _ := reg.Gather()
		for _, family := range all {
			if family.GetName() == "terse_country_file_failures_total" {
				return family.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return 0
	}
	for _, broken := range [][]byte{good[:len(good)/2], nil, []byte("text")} {
		before := failures()
		replace(broken)
		testenv.Await(t, "a failed read", func() bool { return failures() > before+1 })
		want("with a broken file", "BT")
	}
	replace(bytes.ReplaceAll(good, []byte("\x42BT"), []byte("\x42SE")))
	testenv.Await(t, "the new content", func() bool { return f.Of(addr) == "SE" })
	if got := strings.Count(log.String(), "cannot be read"); got != 1 {
		t.Errorf("the failure was logged %d times, want once:\n%s", got, log.String())
	}
}

// buffer is a bytes.Buffer. Safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestOfDoesNotAllocate(t *testing.T) { // not parallel: it counts allocations
	f, _ := newFinder(t, country.Options{})
	for _, addr := range []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2001:4860:4860::8888")} {
		if got := testing.AllocsPerRun(100, func() { f.Of(addr) }); got != 0 {
			t.Errorf("Of(%s) makes %v allocations, want 0", addr, got)
		}
	}
}
