package logs_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/clicks/country"
	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/logs"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
	"github.com/terse/terse/useragent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	host     = "sho.rt"
	brand    = "go.example"
	brandID  = "1abcdefgh"
	person   = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	crawler  = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	allCodes = 7
)

var now = time.Date(2026, time.March, 5, 12, 0, 0, 0, time.UTC)

// databases are several databases with links.
type databases struct {
	stores []*sqlite.Store
	batch  func(n int, b store.ClickBatch) // called for each batch that was added; may be nil

	calls  int // of AddClicks
	failAt int // the call that fails; 0: none
	late   bool
}

var errKilled = errors.New("killed")

// newDatabases returns databases with the links code0, code1, … and others.
func newDatabases(t *testing.T, count int) *databases {
	t.Helper()
	d := &databases{}
	for range count {
		s := sqlitetest.Open(t, func(o *sqlite.Options) { o.Serve = true })
		d.stores = append(d.stores, s)
	}
	keys := []string{store.LinkKey(brandID, "code0"), "under_"}
	for i := range allCodes {
		keys = append(keys, fmt.Sprint("code", i))
	}
	for _, key := range keys {
		l := store.Link{Code: key, URL: "https://example.com/?utm_source=target&utm_medium=mail#utm_term=no", Owner: "o", Status: 302, CreatedAt: now, UpdatedAt: now}
		if _, err := d.stores[d.ShardOf(key)].Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *databases) ShardOf(key string) int { return int(store.BucketOf(key)) % len(d.stores) }

func (d *databases) Get(ctx context.Context, key string) (store.Link, error) {
	return d.stores[d.ShardOf(key)].Get(ctx, key)
}

// clicks returns the clicks of people by link. Links without clicks are missing.
func (d *databases) clicks(t *testing.T) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for i := range allCodes {
		key := fmt.Sprint("code", i)
		l, err := d.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if l.Clicks > 0 {
			all[key] = l.Clicks
		}
	}
	return all
}

// ledger is one of databases. It fails when they say so.
type ledger struct {
	*sqlite.Store
	n   int
	all *databases
}

func (l ledger) AddClicks(ctx context.Context, b store.ClickBatch) error {
	l.all.calls++
	fails := l.all.calls == l.all.failAt
	if fails && !l.all.late {
		return errKilled
	}
	if err := l.Store.AddClicks(ctx, b); err != nil {
		return err
	}
	if l.all.batch != nil {
		l.all.batch(l.n, b)
	}
	if fails {
		return errKilled
	}
	return nil
}

// hosts are a default domain and one other.
type hosts struct{}

func (hosts) DomainOf(name string) (id string, served bool) {
	switch name {
	case host:
		return "", true
	case brand:
		return brandID, true
	}
	return "", false
}

type salts struct{}

func (salts) ClickSalt(_ context.Context, date int32) ([]byte, error) {
	if date != store.DayOf(now) {
		return nil, store.ErrNotFound
	}
	return bytes.Repeat([]byte{7}, store.ClickSaltLen), nil
}

// newImporter returns an Importer into d. change may be nil.
func newImporter(t *testing.T, d *databases, format string, change func(*logs.Options)) *logs.Importer {
	t.Helper()
	agents, err := useragent.New()
	if err != nil {
		t.Fatal(err)
	}
	countries, err := country.New(country.Options{Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	visits, err := visit.New(agents, countries)
	if err != nil {
		t.Fatal(err)
	}
	opts := logs.Options{
		Format: mustFormat(t, format), Placement: d, Links: d, Hosts: hosts{}, Visits: visits, Salts: salts{}, Now: func() time.Time { return now },
	}
	for n, s := range d.stores {
		opts.Databases = append(opts.Databases, logs.Database{Name: fmt.Sprint("s", n), Ledger: ledger{s, n, d}})
	}
	if change != nil {
		change(&opts)
	}
	i, err := logs.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func mustImport(t *testing.T, i *logs.Importer, log string) logs.Summary {
	t.Helper()
	s, err := i.Import(t.Context(), strings.NewReader(log))
	if err != nil {
		t.Errorf("Import() = %v, want nil", err)
	}
	sum := s.Clicks.All()
	for _, n := range s.Skipped {
		sum += n
	}
	if sum != s.Lines && err == nil {
		t.Errorf("Import() = %+v, want each line in one number", s)
	}
	return s
}

// lineIDs makes all lines different.
var lineIDs = rand.Uint64

// hit returns a line of Varnish's log. more are fields that replace others.
func hit(code string, more ...string) string {
	fields := map[string]string{
		"time": fmt.Sprint(now.UnixMilli()), "id": fmt.Sprint(lineIDs()), "host": host, "method": "GET", "uri": "/" + code, "status": "302",
		"cache": "hit", "address": "203.0.113.9", "user_agent": person, "referer": "",
	}
	for i := 0; i < len(more); i += 2 {
		fields[more[i]] = more[i+1]
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		pairs = append(pairs, fmt.Sprintf("%q:%q", name, fields[name]))
	}
	return "{" + strings.Join(pairs, ",") + "}\n"
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := logs.New(logs.Options{Chunk: -1, Patience: -1, Databases: make([]logs.Database, 2)})
	if err == nil {
		t.Fatal("New = nil, want an error")
	}
	for _, field := range []string{"Format", "Placement", "Links", "Hosts", "Visits", "Chunk", "Patience"} {
		if !strings.Contains(err.Error(), "logs: Options."+field+" ") {
			t.Errorf("New = %v, want an error for %s", err, field)
		}
	}
}

// TestEveryLineHasAReason checks which lines count.
func TestEveryLineHasAReason(t *testing.T) {
	t.Parallel()
	const counts logs.Reason = 255
	twice := hit("code0", "id", "same")
	lines := []struct {
		line string
		want logs.Reason
	}{
		{hit("code0"), counts},
		{hit("code0", "status", "301"), counts},
		{hit("code0", "status", "307"), counts},
		{hit("code0", "status", "308"), counts},
		{hit("code0", "method", "HEAD"), counts},
		{hit("code0", "purpose", "prefetch"), counts},
		{hit("code0?a=%zz&b"), counts},
		{hit("code0).", "host", brand), counts},
		{hit("%63ode0%20"), counts},
		{hit("under_"), counts},
		{hit("code0_"), counts}, // leads to code0, because there is no code0_
		{hit("", "uri", "http://"+brand+"/code0"), counts},
		{hit("code0", "time", fmt.Sprint(now.Add(59*time.Minute).UnixMilli())), counts},
		{strings.TrimSuffix(hit("code0"), "\n") + "\r\n", counts},
		{twice, counts},
		{twice, logs.Repeated},
		{"not JSON\n", logs.Malformed},
		{hit("code0", "time", ""), logs.Malformed},
		{strings.Repeat("x", 3<<20) + "\n", logs.Malformed},
		{hit("code0", "status", "200"), logs.NoRedirect},
		{hit("code0", "status", "303"), logs.NoRedirect},
		{hit("code0", "status", "304"), logs.NoRedirect},
		{hit("code0", "status", "404"), logs.NoRedirect},
		{hit("code0", "method", "POST"), logs.OtherMethod},
		{hit("code0", "method", ""), logs.OtherMethod},
		{hit("code0", "host", "other.example"), logs.OtherHost},
		{hit("code0", "host", ""), logs.OtherHost},
		{hit(""), logs.NoCode},
		{hit("~/links"), logs.NoCode},
		{hit("code0+"), logs.NoCode},
		{hit("a/b"), logs.NoLink},
		{hit("a.b/c"), logs.NoCode},
		{hit("a/../b"), logs.NoCode},
		{hit(strings.Repeat("a", 65)), logs.NoCode},
		{hit("", "uri", ""), logs.NoCode},
		{hit("", "uri", "/%"), logs.NoCode},
		{hit("code0", "cache", "synth"), logs.ByProxy},
		{hit("code0", "cache", "miss"), logs.FromOrigin},
		{hit("code0", "cache", "pass"), logs.FromOrigin},
		{hit("code0", "time", fmt.Sprint(now.Add(61*time.Minute).UnixMilli())), logs.Future},
		{hit("code0", "address", "192.0.2.7"), logs.Excluded},
		{hit("unknown"), logs.NoLink},
		{hit("code0." + "x"), logs.NoCode},
	}
	var log strings.Builder
	var want logs.Summary
	for _, l := range lines {
		log.WriteString(l.line)
		want.Lines++
		if l.want != counts {
			want.Skipped[l.want]++
		}
	}
	want.Clicks = day.Count{People: 13, Robots: 2}
	d := newDatabases(t, 2)
	exclude := func(o *logs.Options) { o.Exclude = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }
	got := mustImport(t, newImporter(t, d, "varnish", exclude), log.String()+"\n\n")
	if got.Clicks != want.Clicks || got.Lines != want.Lines || got.Skipped != want.Skipped || got.FirstMalformed != 17 || got.Incomplete {
		t.Errorf("Import() = %+v, want %+v", got, want)
	}
	got = mustImport(t, newImporter(t, d, "varnish", exclude), log.String())
	if got.Clicks != (day.Count{}) || got.Skipped[logs.CountedBefore] != 17 || got.Skipped[logs.Malformed] != 3 {
		t.Errorf("second Import() = %+v, want no clicks", got)
	}
	all := mustImport(t, newImporter(t, newDatabases(t, 1), "varnish", func(o *logs.Options) {
		exclude(o)
		o.All, o.Host = true, host
	}), log.String())
	if all.Clicks != (day.Count{People: 16, Robots: 2}) || all.Skipped[logs.FromOrigin] != 0 {
		t.Errorf("Import() with All and Host = %+v, want 3 more clicks", all)
	}
}

// TestDays checks the facts of the clicks that reach the database.
func TestDays(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, 1)
	days := map[string]*day.Day{}
	var last time.Time
	d.batch = func(_ int, b store.ClickBatch) {
		if !b.Keep || b.Seq <= 0 || !strings.HasPrefix(b.Recorder, "log:") {
			t.Errorf("batch = %q, %d, %t, want one of a log that is kept", b.Recorder, b.Seq, b.Keep)
		}
		for _, c := range b.Days {
			one, err := day.Parse(c.Data)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.ValidateAdded(); err != nil {
				t.Error(err)
			}
			days[fmt.Sprint(c.Key, " ", store.DayStart(c.Day).Format(time.DateOnly))] = one
		}
		last = b.Counts[0].Last
	}
	morning, yesterday := now.Add(-5*time.Hour-50*time.Minute), now.Add(-24*time.Hour)
	at := func(t time.Time) string { return fmt.Sprintf("%d.%03d", t.Unix(), t.UnixMilli()%1000) }
	mustImport(t, newImporter(t, d, "varnish", nil), hit("code0?utm_source=short&qr=1", "time", at(morning), "country", "de", "referer", "https://www.linkedin.com/feed/", "language", "fr-CH,fr")+
		hit("code0", "time", at(morning.Add(time.Hour)), "address", "203.0.113.10", "gpc", "1")+
		hit("code0", "user_agent", crawler)+
		hit("code0", "time", at(yesterday)))
	today := days["code0 2026-03-05"]
	if today == nil || len(days) != 2 || days["code0 2026-03-04"].Total() != (day.Count{People: 1}) {
		t.Fatalf("days = %v, want two", days)
	}
	wantSeries := day.Series{{Count: day.Count{People: 1}, Quarter: 24}, {Count: day.Count{People: 1}, Quarter: 28}, {Count: day.Count{Robots: 1}, Quarter: 48}}
	if got := today.Series(); !slices.Equal(got, wantSeries) {
		t.Errorf("series = %v, want %v", got, wantSeries)
	}
	if today.Visitors() != 1 || days["code0 2026-03-04"].Visitors() != 0 {
		t.Errorf("visitors = %d and %d, want 1, because one asked not to be tracked, and 0 without a salt", today.Visitors(), days["code0 2026-03-04"].Visitors())
	}
	for dim, want := range map[day.Dimension]map[string]int64{
		day.Country: {"DE": 1, "": 2}, day.Referrer: {"LinkedIn": 1, "": 2}, day.Language: {"fr": 1, "": 2}, day.Source: {"qr": 1, "link": 2},
		day.UTMSource: {"short": 1, "target": 2}, day.UTMMedium: {"mail": 3}, day.UTMTerm: {"": 3}, day.Class: {"person": 2, "crawler": 1},
	} {
		got := map[string]int64{}
		for value, series := range today.Values(dim) {
			got[value] += series.Sum().All()
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s = %v, want %v", dim, got, want)
		}
	}
	if want := morning.Add(time.Hour); !last.Equal(want) {
		t.Errorf("last click = %v, want %v", last, want)
	}
}

// TestLinkWithoutVisitors checks that the import counts no visitors of a link that turns them off.
func TestLinkWithoutVisitors(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, 1)
	l := store.Link{Code: "quiet", URL: "https://example.com/", Owner: "o", Status: 302, NoVisitors: true, CreatedAt: now, UpdatedAt: now}
	if _, err := d.stores[0].Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	visitors := map[string]int64{}
	d.batch = func(_ int, b store.ClickBatch) {
		for _, c := range b.Days {
			one, err := day.Parse(c.Data)
			if err != nil {
				t.Fatal(err)
			}
			visitors[c.Key] = int64(one.Visitors())
		}
	}
	at := fmt.Sprint(now.Add(-time.Hour).Unix())
	mustImport(t, newImporter(t, d, "varnish", nil), hit("quiet", "time", at)+hit("code0", "time", at))
	if want := map[string]int64{"quiet": 0, "code0": 1}; !maps.Equal(visitors, want) {
		t.Errorf("visitors = %v, want %v", visitors, want)
	}
}

// TestLinkThatForwardsPaths checks that paths after the code count only for a link that forwards them.
func TestLinkThatForwardsPaths(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, 1)
	l := store.Link{Code: "docs", URL: "https://example.com/", Owner: "o", Status: 302, ForwardPath: true, CreatedAt: now, UpdatedAt: now}
	if _, err := d.stores[0].Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	d.batch = func(_ int, b store.ClickBatch) {
		for _, c := range b.Counts {
			counts[c.Code] += c.N
		}
	}
	var log string
	for _, path := range []string{"docs", "docs/", "docs/a/b", "docs/a%2Fb", "docs/a/../b", "docs/%2e%2e", "docs%2Fa", "code0", "code0/", "code0/a"} {
		log += hit(path)
	}
	mustImport(t, newImporter(t, d, "varnish", nil), log)
	if want := map[string]int64{"docs": 4, "code0": 2}; !maps.Equal(counts, want) {
		t.Errorf("clicks = %v, want %v", counts, want)
	}
}

// randomLog returns a log of at least size bytes and the clicks of people in it.
func randomLog(size int) (log string, clicks map[string]int64) {
	var b strings.Builder
	clicks = map[string]int64{}
	for b.Len() < size {
		code := fmt.Sprint("code", rand.IntN(allCodes))
		switch rand.IntN(8) {
		case 0:
			b.WriteString(hit(code, "cache", "miss"))
		case 1:
			b.WriteString("junk\n")
		default:
			b.WriteString(hit(code, "user_agent", person+strings.Repeat("x", rand.IntN(300))))
			clicks[code]++
		}
	}
	return b.String(), clicks
}

// swapped is databases after the link moved to another one.
type swapped struct {
	*databases

	moved string
}

func (s swapped) ShardOf(key string) int {
	if key == s.moved {
		return 1 - s.databases.ShardOf(key)
	}
	return s.databases.ShardOf(key)
}

func (s swapped) Get(ctx context.Context, key string) (store.Link, error) {
	return s.stores[s.ShardOf(key)].Get(ctx, key)
}

// TestImportAfterAMove imports a log again after its only link moved to a database that had no
// clicks in the log.
func TestImportAfterAMove(t *testing.T) {
	t.Parallel()
	const key, n = "code0", 6
	d := newDatabases(t, 2)
	var log string
	for range n {
		log += hit(key)
	}
	mustImport(t, newImporter(t, d, "varnish", nil), log)
	l, err := d.Get(t.Context(), key)
	if err == nil {
		_, err = d.stores[1-d.ShardOf(key)].Import(t.Context(), l)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := swapped{d, key}
	s := mustImport(t, newImporter(t, d, "varnish", func(o *logs.Options) { o.Placement, o.Links = m, m }), log)
	if l, err = m.Get(t.Context(), key); err != nil || l.Clicks != n || s.Skipped[logs.CountedBefore] != n {
		t.Errorf("clicks after the second import = %d, %v, %+v, want %d", l.Clicks, err, s, n)
	}
}

// TestLinesOfNoLiveLink imports redirects that did not lead to the target of the link: a domain
// redirects visits of links that have ended.
func TestLinesOfNoLiveLink(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, 1)
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for code, change := range map[string]func(*store.Link){
		"ended":   func(l *store.Link) { l.ExpiresAt = hour(-1) },
		"early":   func(l *store.Link) { l.StartsAt = hour(-1) },
		"limited": func(l *store.Link) { l.MaxClicks = 5 },
	} {
		l := store.Link{Code: code, URL: "https://example.com/", Owner: "o", Status: 302, CreatedAt: hour(-48), UpdatedAt: hour(-48)}
		change(&l)
		if _, err := d.stores[0].Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	at := func(n int) string { return fmt.Sprint(hour(n).UnixMilli()) }
	log := hit("ended", "time", at(-2)) + hit("ended", "time", at(0)) + hit("early", "time", at(-2)) + hit("early", "time", at(0)) +
		hit("limited") + hit("limited", "cache", "miss")
	s := mustImport(t, newImporter(t, d, "varnish", func(o *logs.Options) { o.All = true }), log)
	if s.Clicks.People != 3 || s.Skipped[logs.NotLive] != 3 {
		t.Errorf("Import() = %+v, want 3 clicks and 3 lines of links that were not live", s)
	}
}

// TestGrowingLog imports a log whenever it has grown, with cuts anywhere in lines. The log begins
// shorter than the part that identifies it.
func TestGrowingLog(t *testing.T) {
	t.Parallel()
	log, want := randomLog(12_000)
	d := newDatabases(t, 2)
	cuts := []int{len(log)}
	for i := range log {
		if log[i] == '\n' {
			cuts = append(cuts, i, i+1)
		}
	}
	for range testenv.Rounds(100) {
		cuts = append(cuts, rand.IntN(len(log)), 4096-50+rand.IntN(100))
	}
	slices.Sort(cuts)
	for _, cut := range cuts {
		s := mustImport(t, newImporter(t, d, "varnish", nil), log[:cut])
		complete := strings.Count(log[:cut], "\n")
		if s.Lines != int64(complete) && s.Lines != int64(complete+1) {
			t.Errorf("Import() of %d bytes = %+v, want %d lines, or one more", cut, s, complete)
		}
		var sum int64
		for _, n := range d.clicks(t) {
			sum += n
		}
		hits := strings.Count(log[:cut], `"cache":"hit"`)
		if sum > int64(hits) || sum < int64(hits)-1 {
			t.Fatalf("%d clicks after %d bytes, want those of the complete lines", sum, cut)
		}
	}
	if got := d.clicks(t); !maps.Equal(got, want) {
		t.Errorf("clicks = %v, want %v", got, want)
	}
}

// TestKilledImport ends an import at each of its batches, before or after the database has added it,
// and repeats it on a log that has grown.
func TestKilledImport(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		for failAt := 1; ; failAt++ {
			log, want := randomLog(12_000)
			d := newDatabases(t, 2)
			d.failAt, d.late = failAt, late
			small := func(o *logs.Options) { o.Chunk = 3000 }
			_, err := newImporter(t, d, "varnish", small).Import(t.Context(), strings.NewReader(log[:len(log)/2+rand.IntN(len(log)/2)]))
			if err != nil && !errors.Is(err, errKilled) {
				t.Fatalf("Import() = %v, want %v", err, errKilled)
			}
			killed := err != nil
			d.failAt = 0
			mustImport(t, newImporter(t, d, "varnish", nil), log)
			mustImport(t, newImporter(t, d, "varnish", small), log)
			if got := d.clicks(t); !maps.Equal(got, want) {
				t.Errorf("clicks after a failure of batch %d, late %t = %v, want %v", failAt, late, got, want)
			}
			if !killed {
				break
			}
		}
	}
}

// TestOverlappingLogs imports two logs that have lines in common, in one import.
func TestOverlappingLogs(t *testing.T) {
	t.Parallel()
	log, want := randomLog(30_000)
	lines := strings.SplitAfter(log, "\n")
	first, second := strings.Join(lines[:60], ""), strings.Join(lines[20:], "")
	d := newDatabases(t, 2)
	for range 2 {
		i := newImporter(t, d, "varnish", nil)
		mustImport(t, i, first)
		mustImport(t, i, second)
	}
	if got := d.clicks(t); !maps.Equal(got, want) {
		t.Errorf("clicks = %v, want %v", got, want)
	}
	const plain = `203.0.113.9 - - [05/Mar/2026:10:00:00 +0000] "GET /code0 HTTP/1.1" 302 0 "-" "` + person + "\"\n"
	d = newDatabases(t, 1)
	s := mustImport(t, newImporter(t, d, "combined", func(o *logs.Options) { o.All, o.Host = true, host }), plain+plain)
	if s.Clicks.People != 2 {
		t.Errorf("Import() of equal lines without an id = %+v, want 2 clicks", s)
	}
	if s := mustImport(t, newImporter(t, newDatabases(t, 1), "combined", func(o *logs.Options) { o.Host = host }), plain); s.Skipped[logs.Uncached] != 1 {
		t.Errorf("Import() of the combined format without All = %+v, want no click", s)
	}
}

// TestCompressedLog checks that a log is the same with and without compression, and that the
// start of an incomplete log is counted.
func TestCompressedLog(t *testing.T) {
	t.Parallel()
	log, want := randomLog(2 << 20)
	d := newDatabases(t, 1)
	packed := pack(t, log)
	s, err := newImporter(t, d, "varnish", nil).Import(t.Context(), strings.NewReader(packed[:len(packed)/2]))
	if !errors.Is(err, io.ErrUnexpectedEOF) || s.Clicks.People == 0 {
		t.Errorf("Import() of half of a compressed log = %+v, %v, want clicks and an error", s, err)
	}
	mustImport(t, newImporter(t, d, "varnish", nil), packed)
	if got := d.clicks(t); !maps.Equal(got, want) {
		t.Errorf("clicks = %v, want %v", got, want)
	}
	half := strings.Index(log[len(log)/2:], "\n") + len(log)/2 + 1
	for _, again := range []string{log, pack(t, log[:half]) + pack(t, log[half:])} {
		if s := mustImport(t, newImporter(t, d, "varnish", nil), again); s.Clicks != (day.Count{}) {
			t.Errorf("Import() of the same log in another form = %+v, want no clicks", s)
		}
	}
	if _, err := newImporter(t, d, "varnish", nil).Import(t.Context(), strings.NewReader("\x1f\x8bjunk")); err == nil {
		t.Error("Import() of a broken gzip file = nil, want an error")
	}
}

func pack(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPatience checks that an import waits for an unavailable database.
func TestPatience(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, 1)
	down := &unavailable{databases: d, failures: 2}
	s := mustImport(t, newImporter(t, d, "varnish", func(o *logs.Options) {
		o.Links, o.Patience = down, time.Minute
	}), hit("code0"))
	if s.Clicks.People != 1 {
		t.Errorf("Import() = %+v, want a click", s)
	}
	down.failures = 1
	_, err := newImporter(t, d, "varnish", func(o *logs.Options) { o.Links = down }).Import(t.Context(), strings.NewReader(hit("code0")))
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Import() without patience = %v, want %v", err, store.ErrUnavailable)
	}
}

type unavailable struct {
	*databases
	failures int
}

func (u *unavailable) Get(ctx context.Context, key string) (store.Link, error) {
	if u.failures--; u.failures >= 0 {
		return store.Link{}, store.ErrUnavailable
	}
	return u.databases.Get(ctx, key)
}

// BenchmarkParse reads a line of JSON.
func BenchmarkParse(b *testing.B) {
	content, err := os.ReadFile("testdata/nginx.log")
	if err != nil {
		b.Fatal(err)
	}
	line, _, _ := bytes.Cut(content, []byte("\n"))
	format := mustFormat(b, "nginx")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := format.Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
