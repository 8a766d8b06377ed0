package clicks_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

const googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

// salts are salts for tests.
type salts struct {
	err   error
	calls int
}

func (s *salts) ClickSalt(_ context.Context, date int32) ([]byte, error) {
	s.calls++
	return bytes.Repeat([]byte{byte(date)}, store.ClickSaltLen), s.err
}

// daysOf returns the added days of a link, merged by date. It checks that each batch adds up.
func (s *sink) daysOf(t *testing.T, key string) map[int32]*day.Day {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	days, added := map[int32]*day.Day{}, map[int64]bool{}
	for _, b := range s.batches {
		if added[b.Seq] {
			continue
		}
		added[b.Seq] = true
		totals := map[string]day.Count{}
		for _, packed := range b.Days {
			if err := packed.ValidateAdded(); err != nil {
				t.Fatal(err)
			}
			d, err := day.Parse(packed.Data)
			if err != nil {
				t.Fatal(err)
			}
			total := totals[packed.Key]
			total.People += d.Total().People
			total.Robots += d.Total().Robots
			totals[packed.Key] = total
			switch {
			case packed.Key != key:
			case days[packed.Day] == nil:
				days[packed.Day] = d
			default:
				days[packed.Day].Merge(d)
			}
		}
		for _, c := range b.Counts {
			if want := (day.Count{People: c.N, Robots: c.Robots}); totals[c.Code] != want {
				t.Fatalf("the days of %q in batch %d have %+v, its count has %+v", c.Code, b.Seq, totals[c.Code], want)
			}
		}
	}
	return days
}

// valuesOf returns the values of a dimension with their clicks.
func valuesOf(d *day.Day, dim day.Dimension) map[string]day.Count {
	values := map[string]day.Count{}
	for name, series := range d.Values(dim) {
		values[name] = series.Sum()
	}
	return values
}

func flush(t *testing.T, r *clicks.Recorder) {
	t.Helper()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatalf("Flush = %v", err)
	}
}

// TestClassifies records people and robots around midnight.
func TestClassifies(t *testing.T) {
	t.Parallel()
	var s sink
	r, _ := newRecorder(t, clicks.Options{Sink: &s, Salts: &salts{}})
	late := time.Date(2026, 5, 1, 23, 59, 59, 0, time.UTC)
	addr := netip.MustParseAddr("192.0.2.1")
	human := visit.Request{UserAgent: firefox, Referrer: "https://www.google.com/", Language: "de", Query: "utm_source=news", TargetQuery: "utm_medium=mail", Address: addr}
	for range 3 {
		r.Record(clicks.Click{Key: "domain001/a", At: late, Request: human})
	}
	r.Record(clicks.Click{Key: "domain001/a", At: late.Add(time.Second), Request: visit.Request{UserAgent: firefox, QR: true, Country: "FR"}})
	r.Record(clicks.Click{Key: "domain001/a", At: late.Add(2 * time.Second), Request: visit.Request{UserAgent: googlebot}})
	r.Record(clicks.Click{Key: "domain001/a", At: late.Add(2 * time.Second), Request: visit.Request{UserAgent: firefox, Head: true}})
	r.Record(clicks.Click{Key: "domain001/a", At: late.Add(2 * time.Second), Request: visit.Request{UserAgent: firefox, Prefetch: true}})
	flush(t, r)
	want := store.ClickCount{Code: "domain001/a", N: 4, Robots: 3, Last: late.Add(time.Second)}
	if got := s.totals["domain001/a"]; got != want {
		t.Errorf("total = %+v, want %+v", got, want)
	}
	days := s.daysOf(t, "domain001/a")
	first, second := days[store.DayOf(late)], days[store.DayOf(late)+1]
	if len(days) != 2 || first == nil || second == nil {
		t.Fatalf("%d days, want two", len(days))
	}
	for dim, want := range map[day.Dimension]string{
		day.Class: "person", day.Country: "DE", day.Referrer: "Google", day.Device: "desktop", day.Browser: "Firefox", day.OS: "Linux",
		day.Language: "de", day.UTMSource: "news", day.UTMMedium: "mail", day.UTMCampaign: "", day.Source: "link", day.Rule: "",
	} {
		if got := valuesOf(first, dim); len(got) != 1 || got[want] != (day.Count{People: 3}) {
			t.Errorf("%v of the first day = %v, want 3 people with %q", dim, got, want)
		}
	}
	if s := first.Series(); len(s) != 1 || s[0].Quarter != day.Quarters-1 {
		t.Errorf("series of the first day = %+v, want one point at its end", s)
	}
	if s := second.Series(); len(s) != 1 || s[0].Quarter != 0 {
		t.Errorf("series of the second day = %+v, want one point at its start", s)
	}
	for class, want := range map[string]day.Count{"person": {People: 1}, "crawler": {Robots: 1}, "head": {Robots: 1}, "prefetch": {Robots: 1}} {
		if got := valuesOf(second, day.Class)[class]; got != want {
			t.Errorf("clicks of class %s = %+v, want %+v", class, got, want)
		}
	}
	if got := valuesOf(second, day.Source)["qr"]; got != (day.Count{People: 1}) {
		t.Errorf("clicks of QR codes = %+v, want one", got)
	}
}

func TestVisitors(t *testing.T) {
	t.Parallel()
	var s sink
	from := &salts{}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, Salts: from})
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	record := func(key string, addr byte, private bool, agent string) {
		r.Record(clicks.Click{Key: key, At: at, Private: private, Request: visit.Request{UserAgent: agent, Address: netip.AddrFrom4([4]byte{192, 0, 2, addr})}})
	}
	for range 2 { // in two flushes
		for range 5 {
			record("a", 1, false, firefox)
			record("a", 2, false, firefox)
			record("a", 3, true, firefox)
			record("a", 4, false, googlebot)
			record("b", 1, true, firefox)
		}
		flush(t, r)
	}
	visitors := func(key string) int64 {
		t.Helper()
		return s.daysOf(t, key)[store.DayOf(at)].Visitors()
	}
	if got := visitors("a"); got != 2 {
		t.Errorf("visitors = %d, want 2: neither robots nor clients that do not want to be tracked", got)
	}
	if got := visitors("b"); got != 0 {
		t.Errorf("visitors = %d, want 0", got)
	}
	if from.calls != 1 {
		t.Errorf("the salt was read %d times, want once", from.calls)
	}
	from.err = errDown
	at = at.Add(24 * time.Hour)
	for range 5 {
		record("a", 1, false, firefox)
	}
	flush(t, r)
	if got, unsalted := visitors("a"), gather(t, reg)["unsalted"]; got != 0 || unsalted != 5 {
		t.Errorf("without a salt, %d visitors and %v clicks without a visitor, want 0 and 5", got, unsalted)
	}
}

// TestExcluded excludes networks of both address families.
func TestExcluded(t *testing.T) {
	t.Parallel()
	var s sink
	r, reg := newRecorder(t, clicks.Options{Sink: &s, Exclude: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
	for _, addr := range []string{"192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "192.0.3.1", "2001:db9::1", ""} {
		c := click("a", time.Now())
		c.Address, _ = netip.ParseAddr(addr)
		r.Record(c)
	}
	flush(t, r)
	if m := gather(t, reg); s.sum() != 3 || m["excluded"] != 3 || m["recorded"] != 6 || m["flushed"] != 3 {
		t.Errorf("%d counted, metrics %v, want 3 counted and 3 excluded", s.sum(), m)
	}
}

// TestMemoryIsBounded records hostile clicks while the sink is down.
func TestMemoryIsBounded(t *testing.T) { // not parallel: it measures memory
	const maxBytes, n = 4 << 20, 60_000
	s := sink{answer: func(int) (bool, error) { return false, errDown }}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, MaxBytes: maxBytes, Salts: &salts{}})
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	visits() // is not part of the measurement
	long := strings.Repeat("x", 8<<10)
	before, now := heap(), time.Now()
	for i := range n {
		number := fmt.Sprint(i)
		r.Record(clicks.Click{Key: "k" + fmt.Sprint(i%10_000), At: now, Request: visit.Request{
			UserAgent: firefox, Referrer: "https://" + number + ".example/" + long, Language: number,
			Query: "utm_source=" + number + "&utm_term=" + number + "&" + long, Address: netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)}),
		}})
		if i%500 == 0 {
			_ = r.Flush(t.Context())
		}
	}
	if grown := heap() - before; grown > 2*maxBytes {
		t.Errorf("the heap grew by %d bytes, want about %d at most", grown, maxBytes)
	}
	m := gather(t, reg)
	if m["recorded"] != n || m["pending"]+m["dropped full"] != n || m["dropped full"] == 0 || m["coarse"] == 0 {
		t.Errorf("metrics = %v, want %d recorded, the sum of pending and dropped, and some of each", m, n)
	}
	s.mu.Lock()
	s.answer, s.batches = nil, nil
	s.mu.Unlock()
	flush(t, r)
	after := gather(t, reg)
	if got := float64(s.sum()); got == 0 || got != after["flushed"] || got+after["dropped full"] != n {
		t.Errorf("%v clicks were flushed, metrics %v, want %d together with the dropped clicks", got, after, n)
	}
	s.daysOf(t, "k1") // checks that all batches add up
	if lost := s.lost(t); float64(lost) != after["dropped full"] {
		t.Errorf("the batches have %d lost clicks, want %v", lost, after["dropped full"])
	}
}

// TestCoarse checks that clicks without room for details are in the days of their links.
func TestCoarse(t *testing.T) {
	t.Parallel()
	s := sink{answer: func(int) (bool, error) { return false, errDown }}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, MaxBytes: 256 << 10})
	now := time.Now()
	for i := range 10_000 {
		c := click("a", now)
		c.Query = "utm_source=x"
		if i%10 > 0 {
			c.Key = fmt.Sprint("b", i)
		}
		r.Record(c)
		if i%10 == 0 {
			_ = r.Flush(t.Context())
		}
	}
	m := gather(t, reg)
	s.mu.Lock()
	s.answer, s.batches = nil, nil
	s.mu.Unlock()
	flush(t, r)
	var all, other day.Count
	for _, d := range s.daysOf(t, "a") {
		all, other = d.Total(), valuesOf(d, day.UTMSource)[day.Other]
	}
	if m["coarse"] == 0 || float64(other.People) != m["coarse"] || all.People != s.totals["a"].N {
		t.Errorf("%v coarse clicks; the days have %+v, %+v of them under other, want %d", m["coarse"], all, other, s.totals["a"].N)
	}
}

// TestClassifiesWhileSinkIsDown checks that clicks do not wait for the sink with their addresses.
func TestClassifiesWhileSinkIsDown(t *testing.T) {
	t.Parallel()
	s := sink{answer: func(int) (bool, error) { return false, errDown }}
	r, reg := newRecorder(t, clicks.Options{Sink: &s, MaxBytes: 1 << 20})
	const flushes, each = 20, 500
	now := time.Now()
	for i := range flushes {
		for j := range each {
			c := click("a", now)
			c.Address = netip.AddrFrom4([4]byte{8, 8, byte(i), byte(j)})
			c.Language = fmt.Sprint(j)
			r.Record(c)
		}
		if err := r.Flush(t.Context()); !errors.Is(err, errDown) {
			t.Fatalf("Flush = %v, want %v", err, errDown)
		}
	}
	if m := gather(t, reg); m["pending"] != flushes*each || m["dropped full"] != 0 {
		t.Errorf("metrics = %v, want %d pending", m, flushes*each)
	}
}

// TestForgets searches the memory of the process for the address and the User-Agent of a click.
func TestForgets(t *testing.T) { // not parallel: it searches all memory
	s := sink{answer: func(int) (bool, error) { return false, errDown }}
	r, _ := newRecorder(t, clicks.Options{Sink: &s, Salts: &salts{}})
	secret := make([]byte, 16) // the address; in hexadecimal, a part of the User-Agent
	_, _ = rand.Read(secret)
	hidden, hiddenHex := bytes.Clone(secret), fmt.Appendf(nil, "%x", secret)
	hide := func(b []byte) { // so that the test does not find its own memory
		for i := range b {
			b[i] ^= 0x55
		}
	}
	hide(hidden)
	hide(hiddenHex)
	var recording sync.WaitGroup
	recording.Go(func() { // in another goroutine, because its stack is searched, too
		c := click("a", time.Now())
		c.UserAgent = fmt.Sprintf("%s %x", firefox, secret)
		c.Address = netip.AddrFrom16([16]byte(secret))
		r.Record(c)
		clear(secret)
	})
	recording.Wait()
	search := func() (address, agent bool) {
		t.Helper()
		file, err := os.Create(filepath.Join(t.TempDir(), "heap"))
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.GC()
		debug.WriteHeapDump(file.Fd())
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		dump, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		hide(dump)
		return bytes.Contains(dump, hidden), bytes.Contains(dump, hiddenHex)
	}
	if address, agent := search(); !address || !agent {
		t.Errorf("before the flush, memory has the address: %t, the User-Agent: %t, want both", address, agent)
	}
	_ = r.Flush(t.Context())
	if address, agent := search(); address || agent {
		t.Errorf("after the flush, memory has the address: %t, the User-Agent: %t, want none", address, agent)
	}
	runtime.KeepAlive(r)
}
