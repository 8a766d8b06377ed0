package api_test

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/client"
	"github.com/terse/terse/store"
)

// clicked is clicks at a time.
type clicked struct {
	at     string // RFC 3339
	class  string
	values map[day.Dimension]string
	n      int64
}

// click stores clicks of a link as a recorder does, and folds them into days.
func (s *server) click(key string, clicks ...clicked) {
	s.t.Helper()
	batch := store.ClickBatch{Recorder: rand.Text(), Seq: 1}
	for i, c := range clicks {
		at, err := time.Parse(time.RFC3339, c.at)
		must(s.t, err)
		number := store.DayOf(at)
		add := day.Click{Quarter: int(at.Sub(store.DayStart(number)) / (15 * time.Minute)), N: max(1, c.n), Visitor: uint64(i+1) * 0x9e3779b97f4a7c15}
		add.Values[day.Class] = c.class
		for dim, value := range c.values {
			add.Values[dim] = value
		}
		var d day.Day
		d.Add(add)
		total := d.Total()
		batch.Counts = append(batch.Counts, store.ClickCount{Code: key, N: total.People, Robots: total.Robots, Last: at})
		batch.Days = append(batch.Days, store.ClickDay{Kind: store.ClickLink, Key: key, Day: number, Data: d.Append(nil)})
	}
	must(s.t, s.store.AddClicks(s.t.Context(), batch))
	_, err := s.store.(store.ClickFolder).FoldClicks(s.t.Context(), 100, day.Fold)
	must(s.t, err)
}

// invalid checks that the answer is a 422 with these locations, in any order.
func (a answer) invalid(want ...string) {
	a.t.Helper()
	got := strings.Fields(a.problem(http.StatusUnprocessableEntity))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		a.t.Errorf("invalid are %q, want %q", got, want)
	}
}

// newStatsServer starts a server with a key that may read the statistics of its links, and the link
// spring of that key with the tag red.
func newStatsServer(t testing.TB, change ...func(*options)) (*server, []string) {
	t.Helper()
	s := newServer(t, change...)
	owner := s.key("counter", store.ScopeLinksWrite, store.ScopeStatsRead)
	if a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","alias":"spring","tags":["red"]}`, owner...); a.status != http.StatusCreated {
		t.Fatalf("create = %d %s", a.status, a.body)
	}
	return s, owner
}

var inGermany = map[day.Dimension]string{day.Country: "DE", day.Referrer: "news.example"}

// TestLinkStats checks an answer in full.
func TestLinkStats(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	s.click("spring",
		clicked{at: "2026-05-09T22:30:00Z", class: day.Person, values: inGermany}, // 10 May in Berlin
		clicked{at: "2026-05-10T21:45:00Z", class: day.Person, values: inGermany, n: 2},
		clicked{at: "2026-05-10T22:00:00Z", class: day.Person, values: map[day.Dimension]string{day.Country: "FR"}},
		clicked{at: "2026-05-10T22:15:00Z", class: "crawler"},
		clicked{at: "2026-05-08T22:15:00Z", class: day.Person}, // the day before
	)
	a := s.get("/api/v1/links/spring/stats?from=2026-05-10&to=2026-05-12&tz=Europe/Berlin&interval=day&by=country,referrer&limit=1&compare=true", owner...)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("stats = %d %v %s", a.status, a.header, a.body)
	}
	var got map[string]any
	a.into(&got)
	const want = `{"before":{"from":"2026-05-08T00:00:00+02:00","series":[{"people":0,"robots":0,"start":"2026-05-08T00:00:00+02:00"},{"people":1,"robots":0,"start":"2026-05-09T00:00:00+02:00"}],"to":"2026-05-10T00:00:00+02:00","total":{"people":1,"robots":0,"visitors":1}},` +
		`"breakdowns":[{"by":"country","other":{"people":1,"robots":0},"unknown":{"people":0,"robots":1},"values":[{"people":3,"robots":0,"value":"DE"}]},` +
		`{"by":"referrer","other":{"people":0,"robots":0},"unknown":{"people":1,"robots":1},"values":[{"people":3,"robots":0,"value":"news.example"}]}],` +
		`"class":"all","coarse_until":null,"from":"2026-05-10T00:00:00+02:00","interval":"day","lost":0,` +
		`"series":[{"people":3,"robots":0,"start":"2026-05-10T00:00:00+02:00"},{"people":1,"robots":1,"start":"2026-05-11T00:00:00+02:00"}],` +
		`"to":"2026-05-12T00:00:00+02:00","total":{"people":4,"robots":1,"visitors":3},"tz":"Europe/Berlin",` +
		`"visitors":[{"day":"2026-05-09","visitors":1,"whole":true},{"day":"2026-05-10","visitors":2,"whole":true}]}`
	sorted, err := json.Marshal(got)
	must(t, err)
	if string(sorted) != want {
		t.Errorf("stats =\n%s, want\n%s", sorted, want)
	}
}

// TestStatsDefaults checks the range without parameters: the last 30 days in UTC, today included.
func TestStatsDefaults(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	s.click("spring",
		clicked{at: "2026-06-01T11:59:00Z", class: day.Person}, clicked{at: "2026-05-03T00:00:00Z", class: "tool"}, clicked{at: "2026-05-02T23:45:00Z", class: day.Person})
	var got client.Stats
	s.get("/api/v1/links/spring/stats", owner...).into(&got)
	if len(got.Series) != 30 || got.Interval != "day" || got.TZ != "UTC" || got.Total.People != 1 || got.Total.Robots != 1 {
		t.Errorf("stats = %+v, want 30 days with 1 person and 1 robot", got)
	}
	if got.Breakdowns == nil || got.Visitors == nil || got.Before != nil {
		t.Errorf("stats = %+v, want empty lists and no range before", got)
	}
}

// TestStatsCSV checks both ways to ask for CSV, that hostile values do nothing in a spreadsheet, and
// that the rows add up.
func TestStatsCSV(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	for i, value := range []string{"=HYPERLINK(\"http://evil.example\")", "+1", "a;=cmd()", "(other)", "with \"quotes\", commas\nand lines", "<script>"} {
		s.click("spring", clicked{at: "2026-05-10T10:00:00Z", class: day.Person, n: int64(10 - i), values: map[day.Dimension]string{day.UTMTerm: value}})
	}
	s.click("spring", clicked{at: "2026-05-10T10:00:00Z", class: "crawler"})
	path := "/api/v1/links/spring/stats?from=2026-05-10&to=2026-05-11&interval=day&by=utm_term,referrer&limit=5"
	a := s.get(path+"&format=csv", owner...)
	if got := a.header.Get("Content-Type"); a.status != http.StatusOK || got != "text/csv; charset=utf-8" {
		t.Fatalf("stats = %d %s %s", a.status, got, a.body)
	}
	const want = `kind,by,value,start,people,robots,visitors
total,,,2026-05-10T00:00:00Z,45,1,1
point,,,2026-05-10T00:00:00Z,45,1,
value,utm_term,"'=HYPERLINK(""http://evil.example"")",,10,0,
value,utm_term,'+1,,9,0,
value,utm_term,a;'=cmd(),,8,0,
value,utm_term,(other),,7,0,
value,utm_term,"with ""quotes"", commas
and lines",,6,0,
other,utm_term,(other),,5,0,
unknown,utm_term,(unknown),,0,1,
other,referrer,(other),,0,0,
unknown,referrer,(direct),,45,1,
visitors,,,2026-05-10,,,1
`
	if string(a.body) != want {
		t.Errorf("stats =\n%s, want\n%s", a.body, want)
	}
	if b := s.get(path, append([]string{"Accept", "text/csv, */*;q=0.1"}, owner...)...); string(b.body) != want {
		t.Errorf("stats with Accept: text/csv = %s", b.body)
	}
	if b := s.get(path+"&format=json", append([]string{"Accept", "text/csv"}, owner...)...); !json.Valid(b.body) {
		t.Errorf("stats with format=json and Accept: text/csv = %s", b.body)
	}
}

// TestStatsOfSets checks which clicks are counted together.
func TestStatsOfSets(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	own, admin := s.keyID("counter"), s.key("admin", store.ScopeAdmin)
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","alias":"summer"}`, owner...)
	s.create(`{"url":"https://example.com","alias":"theirs","tags":["red"]}`, admin...)
	s.create(`{"url":"https://example.com","alias":"nobodys"}`)
	for key, n := range map[string]int64{"spring": 1, "summer": 10, "theirs": 100, "nobodys": 1000} {
		s.click(key, clicked{at: "2026-05-20T10:00:00Z", class: day.Person, n: n})
	}
	for query, c := range map[string]struct {
		headers []string
		want    int64
	}{
		"":                                 {owner, 11},
		"?owner=" + own:                    {owner, 11},
		"?tag=red":                         {owner, 1},
		"?tag=blue":                        {owner, 0},
		"?domain=go.terse.example":         {owner, 11},
		"?owner=" + own + "&tag=red":       {admin, 1},
		"?tag=red&limit=1":                 {admin, 100},
		"?owner=*":                         {admin, 1111},
		"?owner=anonymous":                 {admin, 1000},
		"?owner=" + url.QueryEscape("a/b"): {admin, 0},
	} {
		a := s.get("/api/v1/stats"+query, c.headers...)
		if a.status != http.StatusOK {
			t.Errorf("stats%s = %d %s", query, a.status, a.body)
			continue
		}
		var got client.Stats
		if a.into(&got); got.Total.People != c.want {
			t.Errorf("stats%s = %d people, want %d", query, got.Total.People, c.want)
		}
	}
	s.get("/api/v1/stats?owner=*", owner...).problem(http.StatusForbidden)
	s.get("/api/v1/stats?owner=anonymous", owner...).problem(http.StatusForbidden)
}

// TestStatsOfList checks that each code of a list has its own result.
func TestStatsOfList(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	s.create(`{"url":"https://example.com","alias":"theirs"}`, s.key("other", store.ScopeLinksRead, store.ScopeLinksWrite)...)
	for _, key := range []string{"spring", "theirs"} {
		s.click(key, clicked{at: "2026-05-20T10:00:00Z", class: day.Person, n: 5})
	}
	path := "/api/v1/stats/links?codes=spring,theirs,nothing,,a%2Fb,spring&interval=week"
	a := s.get(path, owner...)
	if a.status != http.StatusOK {
		t.Fatalf("stats = %d %s", a.status, a.body)
	}
	var got struct{ Results []client.LinkStats }
	a.into(&got)
	var lines []string
	for _, r := range got.Results {
		line := fmt.Sprintf("%s %d", r.Code, r.Status)
		if r.Stats != nil {
			line += fmt.Sprintf(" %d", r.Stats.Total.People)
		}
		lines = append(lines, line)
	}
	if want := []string{"spring 200 5", "theirs 404", "nothing 404", " 404", "a/b 404", "spring 200 5"}; !slices.Equal(lines, want) {
		t.Errorf("results = %q, want %q", lines, want)
	}
	rows, err := csv.NewReader(strings.NewReader(string(s.get(path+"&format=csv", owner...).body))).ReadAll()
	must(t, err)
	if len(rows) < 5 || rows[0][0] != "code" || rows[1][0] != "spring" || rows[1][5] != "5" {
		t.Errorf("CSV = %q", rows)
	}
	if i := slices.IndexFunc(rows, func(r []string) bool { return r[0] == "theirs" }); i < 0 || rows[i][1] != "error" || rows[i][3] != "There is no such link." {
		t.Errorf("CSV = %q, want an error for theirs", rows)
	}
	codes := strings.Repeat("spring,", 99) + "spring"
	if a := s.get("/api/v1/stats/links?interval=week&codes="+codes, owner...); a.status != http.StatusOK {
		t.Errorf("100 codes = %d %s", a.status, a.body)
	}
	s.get("/api/v1/stats/links?codes="+codes+",spring", owner...).invalid("query.codes")
	s.get("/api/v1/stats/links", owner...).invalid("query.codes")
	s.get("/api/v1/stats/links?interval=hour&codes="+codes, owner...).invalid("query.interval")
}

// TestStatsInvalid checks that each wrong parameter is named.
func TestStatsInvalid(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	for query, want := range map[string][]string{
		"from=2026-05-02&to=2026-05-01":  {"query.to"},
		"from=1900-01-01":                {"query.from"},
		"from=x&to=y&tz=UTC&by=city":     {"query.by", "query.from", "query.to"},
		"tz=Mars/Olympus":                {"query.tz"},
		"tz=..%2F..%2Fetc%2Fpasswd":      {"query.tz"},
		"interval=minute":                {"query.interval"},
		"interval=15min":                 nil,
		"interval=15min&from=2026-01-01": {"query.interval"},
		"class=bots":                     {"query.class"},
		"limit=0":                        {"query.limit"},
		"limit=101":                      {"query.limit"},
		"format=xml":                     {"query.format"},
		"by=country,country":             {"query.by"},
		"from=2026-05-01T00:00:00+02:00&to=2026-05-02":   {"query.from"}, // the plus sign is a space
		"from=2026-05-01T00:00:00%2B02:00&to=2026-05-02": nil,
		"from=2026-05-01T00:01:00Z":                      {"query.from"},
	} {
		for _, path := range []string{"links/spring/stats?", "stats?", "stats/links?codes=spring&"} {
			a := s.get("/api/v1/"+path+query, owner...)
			if want == nil {
				if a.status != http.StatusOK {
					t.Errorf("%s%s = %d %s, want 200", path, query, a.status, a.body)
				}
				continue
			}
			a.invalid(want...)
		}
	}
	s.get("/api/v1/links/spring/stats?domain=unknown.example", owner...).invalid("query.domain")
	s.get("/api/v1/stats?domain=unknown.example", owner...).invalid("query.domain")
	s.get("/api/v1/stats?domain=go.terse.example&tag=red", owner...).invalid("query.tag")
}

// noAnswer is stored days in an unreachable shard.
type noAnswer struct{}

func (noAnswer) ListClickDays(context.Context, store.ClickKind, []string, int32, int32) ([]store.ClickDay, error) {
	return nil, store.ErrUnavailable
}

func (noAnswer) ResetClicks(context.Context, string) error { return store.ErrUnavailable }

// TestStatsUnavailable checks that no part of the clicks is shown as all.
func TestStatsUnavailable(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t, func(o *options) { o.ClickDays = noAnswer{} })
	for _, path := range []string{"links/spring/stats", "stats", "stats/links?codes=spring"} {
		s.get("/api/v1/"+path, owner...).problem(http.StatusServiceUnavailable)
	}
	s.do(http.MethodDelete, "/api/v1/links/spring/stats", nil, owner...).problem(http.StatusServiceUnavailable)
}

// TestResetStats checks that a reset deletes the statistics and totals of one link only.
func TestResetStats(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	for _, code := range []string{"spring", "summer"} {
		if code != "spring" {
			s.do(http.MethodPost, "/api/v1/links", []byte(`{"url":"https://example.com/","alias":"`+code+`"}`), append([]string{"Content-Type", "application/json"}, owner...)...)
		}
		s.click(code, clicked{at: "2026-05-10T21:45:00Z", class: day.Person}, clicked{at: "2026-05-10T21:45:00Z", class: "crawler"})
	}
	for range 2 { // the second one finds nothing to do
		if a := s.do(http.MethodDelete, "/api/v1/links/spring/stats", nil, owner...); a.status != http.StatusNoContent {
			t.Fatalf("reset = %d %s, want 204", a.status, a.body)
		}
	}
	for path, want := range map[string]int64{"links/spring/stats": 0, "links/summer/stats": 1, "stats": 2} {
		var got client.Stats
		s.get("/api/v1/"+path+"?from=2026-05-10&to=2026-05-11", owner...).into(&got)
		if got.Total.People != want || got.Total.Robots != want {
			t.Errorf("%s after the reset = %+v, want %d people and robots", path, got.Total, want)
		}
	}
	var l client.Link
	s.get("/api/v1/links/spring", owner...).into(&l)
	if l.Clicks != 0 || l.Robots != 0 || l.LastClickAt != nil {
		t.Errorf("link after the reset has %d clicks, %d robots, the last at %v, want none", l.Clicks, l.Robots, l.LastClickAt)
	}
}

// TestStatsOfDeleted checks that a deleted link has no statistics, as it has no data.
func TestStatsOfDeleted(t *testing.T) {
	t.Parallel()
	s, owner := newStatsServer(t)
	if a := s.do(http.MethodDelete, "/api/v1/links/spring", nil, owner...); a.status != http.StatusNoContent {
		t.Fatalf("delete = %d %s", a.status, a.body)
	}
	s.get("/api/v1/links/spring/stats", owner...).problem(http.StatusGone)
	s.do(http.MethodDelete, "/api/v1/links/spring/stats", nil, owner...).problem(http.StatusGone)
}
