package web_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/browser"
	"github.com/terse/terse/web"
)

// busyStats returns 30 days of clicks with all breakdowns.
func busyStats(subject web.Subject) web.Stats {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	v := web.Stats{
		Subject: subject, Path: "/show/stats", Today: "2026-11-30", Interval: "day", Compare: true,
		From: time.Date(2026, 11, 1, 0, 0, 0, 0, zone), To: time.Date(2026, 12, 1, 0, 0, 0, 0, zone),
		Before:      web.Totals{Clicks: web.Clicks{People: 21_503, Robots: 9_021}, Visitors: 18_000},
		CoarseUntil: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC),
	}
	for i := range 30 {
		c := web.Clicks{People: int64(900 + 37*i*(i%5)), Robots: int64(200 + 11*(i%7)*i)}
		v.Series = append(v.Series, web.Point{Start: v.From.AddDate(0, 0, i), Clicks: c})
		v.Total.People, v.Total.Robots = v.Total.People+c.People, v.Total.Robots+c.Robots
	}
	v.Total.Visitors = v.Total.People * 4 / 5
	for _, values := range [][]string{
		{"country", "DE", "US", "T1", "ZZ"},
		{"referrer", "Google", "news.example", strings.Repeat("w", 128)},
		{"device", "phone", "desktop"},
		{"language", "de", "en", "zzz"},
		{"utm_source", "newsletter", "\u202egro.elpmaxe", "<b>bold</b>"},
	} {
		b := web.Breakdown{Dimension: values[0], Other: web.Clicks{People: 99, Robots: 1}, Unknown: web.Clicks{People: 1500}}
		for i, name := range values[1:] {
			b.Values = append(b.Values, web.Value{Name: name, Clicks: web.Clicks{People: int64(9000 / (i + 1)), Robots: int64(4000 / (i + 1))}})
		}
		v.Breakdowns = append(v.Breakdowns, b)
	}
	return v
}

// shownStats returns the pages of statistics of the site.
func shownStats(page string, r *http.Request) web.Stats {
	v := busyStats(web.Subject{Kind: web.SubjectLink, Name: "sho.rt/spring-sale"})
	q := r.URL.Query()
	v.Range = web.StatsRange{From: q.Get("from"), To: q.Get("to"), Zone: q.Get("tz"), Interval: q.Get("interval"), Class: q.Get("class"), Compare: q.Get("compare")}
	switch page {
	case "stats":
		v.Live = "/total"
	case "stats-tag":
		v.Subject = web.Subject{Kind: web.SubjectTag, Name: strings.Repeat("long tag ", 6)}
		v.Compare = false
	case "stats-people":
		v.Range.Class = "people"
	case "stats-empty":
		v.Subject = web.Subject{Kind: web.SubjectOwner}
		v.Total, v.Breakdowns = web.Totals{}, nil
		for i := range v.Series {
			v.Series[i].Clicks = web.Clicks{}
		}
	case "stats-errors":
		v = web.Stats{
			Subject: v.Subject, Path: v.Path, Today: v.Today, Range: web.StatsRange{From: "yesterday", To: "2026-11-30", Zone: "Mars/Phobos", Interval: "15min", Limit: "1000"},
			Errors: map[string]string{"from": "must be a date", "tz": "must be the name of an IANA time zone", "interval": "makes more than 10000 points", "limit": "must be 1 to 100"},
		}
	}
	return v
}

// total answers the totals, which grow with each answer.
func (s *site) total(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals++
	if err := json.NewEncoder(w).Encode(map[string]int64{"people": 1_000_000 + s.totals, "robots": 2_000_000, "visitors": 3_000_000}); err != nil {
		panic(err)
	}
}

func TestStatsWords(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name         string
		stats        web.Stats
		want, absent []string
	}{
		{
			"one day",
			web.Stats{From: day, To: day.AddDate(0, 0, 1), Interval: "hour", Series: []web.Point{{Start: day}}},
			[]string{">1 November 2026</h2>", "1 Nov 2026, 00:00 UTC", "There are no clicks in this range.", "All links of this server", "Hour from"},
			[]string{"as before", "data-url", "less detail", "Show up to"},
		},
		{
			"part of a day",
			web.Stats{Subject: web.Subject{Kind: web.SubjectDomain, Name: "go.example"}, From: day, To: day.Add(time.Hour), Interval: "15min"},
			[]string{"1 November 2026, 00:00 to 1 November 2026, 01:00", "Links on go.example", "Quarter-hour from"},
			nil,
		},
		{
			"weeks",
			web.Stats{Subject: web.Subject{Kind: web.SubjectOwner}, From: day, To: day.AddDate(0, 1, 0), Interval: "week", Series: []web.Point{{Start: day}}},
			[]string{"1 November 2026 to 30 November 2026", ">All links</bdi>", "1 Nov 2026</time>", "Week from"},
			nil,
		},
		{
			"months of people",
			web.Stats{Interval: "month", Series: []web.Point{{Start: day, Clicks: web.Clicks{People: 1234567}}}, Range: web.StatsRange{Class: "people"}},
			[]string{"November 2026</time>", "<td>1,234,567</td>"},
			[]string{"Clicks of robots", ">Robots</th>"},
		},
		{
			"robots", web.Stats{Range: web.StatsRange{Class: "robots"}}, []string{"Clicks of robots", ">Robots</th>"}, []string{"Visitors", ">People</th>", "counted once a day"},
		},
		{
			"comparison",
			web.Stats{Compare: true, Total: web.Totals{Clicks: web.Clicks{People: 1120, Robots: 5}, Visitors: 900}, Before: web.Totals{Clicks: web.Clicks{People: 1000}, Visitors: 1000}},
			[]string{"12 % more than 1,000 before", "10 % fewer than 1,000 before", "0 before"},
			nil,
		},
		{
			"rows",
			web.Stats{Total: web.Totals{Clicks: web.Clicks{People: 8}}, Breakdowns: []web.Breakdown{
				{Dimension: "referrer", Values: []web.Value{{Name: "a.example", Clicks: web.Clicks{People: 4}}}, Unknown: web.Clicks{People: 2}, Other: web.Clicks{People: 2}},
				{Dimension: "utm_term", Unknown: web.Clicks{People: 8}},
			}},
			[]string{`width="100"`, `width="50"`, "Direct or unknown", "All others", "limit=100"},
			[]string{"UTM term"},
		},
		{
			"values with words",
			web.Stats{Total: web.Totals{Clicks: web.Clicks{Robots: 2}}, Breakdowns: []web.Breakdown{
				{Dimension: "class", Values: []web.Value{{Name: "head", Clicks: web.Clicks{Robots: 2}}}},
				{Dimension: "source", Values: []web.Value{{Name: "qr"}, {Name: "other"}}},
			}},
			[]string{">HEAD requests</bdi>", ">QR codes</bdi>", ">other</bdi>"},
			nil,
		},
		{
			"values without visible characters",
			web.Stats{Total: web.Totals{Clicks: web.Clicks{Robots: 2}}, Breakdowns: []web.Breakdown{
				{Dimension: "utm_term", Values: []web.Value{{Name: "\u202egro.elpmaxe"}, {Name: "\u200b "}, {Name: "a\u200d b"}, {Name: "\u05d0\u05d1"}}},
			}},
			[]string{">(U&#43;202E)gro.elpmaxe</bdi>", ">(U&#43;200B)(U&#43;0020)</bdi>", ">a\u200d b</bdi>", ">\u05d0\u05d1</bdi>"},
			nil,
		},
		{
			"values that no input can show",
			web.Stats{Range: web.StatsRange{From: "2026-11-01T10:15:00Z", To: "2026-11-30", Limit: "100", Compare: "true"}},
			[]string{`type="text" value="2026-11-01T10:15:00Z"`, `type="date" value="2026-11-30"`, `name="limit" value="100"`, `value="true" checked`},
			nil,
		},
		{
			"coarse", web.Stats{CoarseUntil: day}, []string{"Clicks before 1 November 2026, 00:00 UTC are stored with less detail"}, nil,
		},
		{
			"lost", web.Stats{Lost: 1234}, []string{"the server lost 1,234 clicks of all its links together"}, nil,
		},
		{
			"errors",
			web.Stats{Errors: map[string]string{"tz": "must be a zone", "limit": "must be 1 to 100"}},
			[]string{"must be a zone", "The parameter limit must be 1 to 100.", `aria-invalid="true"`},
			[]string{"Clicks over time", "There are no clicks"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := render(func(w http.ResponseWriter) { p.Stats(w, 200, test.stats) })
			for _, want := range test.want {
				if !strings.Contains(body, want) {
					t.Errorf("Stats(%+v) lacks %q:\n%s", test.stats, want, body)
				}
			}
			for _, absent := range test.absent {
				if strings.Contains(body, absent) {
					t.Errorf("Stats(%+v) has %q:\n%s", test.stats, absent, body)
				}
			}
		})
	}
}

func TestStatsPresets(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	body := render(func(w http.ResponseWriter) {
		p.Stats(w, 200, web.Stats{
			Path: "/~/s/token", Today: "2026-03-01",
			Range: web.StatsRange{From: "2020-01-01", To: "2020-02-01", Zone: "Asia/Tokyo", Interval: "15min", Class: "people", Compare: "true", Limit: "100"},
		})
	})
	for _, want := range []string{"2026-03-01", "2026-02-23", "2026-01-31", "2025-12-02", "2025-03-02"} {
		address := `href="/~/s/token?class=people&amp;compare=true&amp;from=` + want + `&amp;limit=100&amp;tz=Asia%2FTokyo"`
		if !strings.Contains(body, address) {
			t.Errorf("the page lacks %s:\n%s", address, body)
		}
	}
}

// TestStatsInTheBrowser checks what the script adds to a page of statistics.
func TestStatsInTheBrowser(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + "/show/stats?class=&compare=true"))
	tab.Wait(`document.querySelector("#chart canvas")?.width > 0`)
	text := func(expression string) string {
		t.Helper()
		return browser.Eval[string](tab, expression)
	}
	names := text(`[...document.querySelectorAll("[data-dimension=country] bdi, [data-dimension=language] bdi")].map((cell) => cell.textContent).sort().join()`)
	if want := "English,German,Germany,T1,United States,Unknown Region,zzz"; names != want {
		t.Errorf("names of countries and languages = %q, want %q", names, want)
	}
	if got := browser.Eval[int](tab, `document.getElementById("zones").options.length`); got < 100 {
		t.Errorf("%d time zones to choose from, want those of the browser", got)
	}
	tab.Do(chromedp.Focus(`[role=slider]`), chromedp.KeyEvent(kb.Home+kb.ArrowRight))
	if got, want := text(`document.querySelector("[role=slider]").ariaValueText`), "Mon 2 Nov 2026: 937 people, 211 robots"; got != want {
		t.Errorf("the slider says %q, want %q", got, want)
	}
	tab.Wait(`document.querySelector("#chart output").textContent.startsWith("Mon 2 Nov")`)
	if got := text(`document.getElementById("totals").ariaLive`); got != "off" {
		t.Errorf("aria-live of the totals = %q, want off", got)
	}
	tab.Wait(`document.querySelector("[data-total=people]").textContent.startsWith("1,000,0")`)
	tab.Do(chromedp.Click(`#live-announce`))
	if got := text(`document.getElementById("totals").ariaLive`); got != "polite" {
		t.Errorf("aria-live of the totals after the choice = %q, want polite", got)
	}
	checkQuiet(t, s, tab)
}

// TestStatsWithoutScript changes the range by the form alone.
func TestStatsWithoutScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{NoScript: true})
	tab.Do(chromedp.Navigate(s.URL + "/show/stats"))
	if browser.Eval[bool](tab, `document.getElementById("chart").checkVisibility() || document.getElementById("live").checkVisibility()`) {
		t.Error("parts that need a script are visible")
	}
	if got := browser.Eval[int](tab, `document.querySelectorAll("#series tbody tr").length`); got != 30 {
		t.Errorf("the table has %d rows, want 30", got)
	}
	browser.Eval[any](tab, `document.getElementById("from").value = "2026-11-05"; document.getElementById("tz").value = "Asia/Tokyo"; document.getElementsByName("compare")[0].checked = true`)
	tab.Follow(chromedp.Click(".picker button"))
	if got, want := browser.Eval[string](tab, "location.search"), "?from=2026-11-05&to=&tz=Asia%2FTokyo&interval=&class=&compare=true"; got != want {
		t.Errorf("the form leads to %q, want %q", got, want)
	}
	if got := browser.Eval[string](tab, `document.getElementById("from").value + document.getElementById("tz").value`); got != "2026-11-05Asia/Tokyo" {
		t.Errorf("the form shows %q, want the range of the address", got)
	}
	checkQuiet(t, s, tab)
}

// TestStatsSize adds up what a first visit loads.
func TestStatsSize(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	body := render(func(w http.ResponseWriter) { p.Stats(w, 200, busyStats(web.Subject{})) })
	size := packedSize(t, body)
	for _, match := range regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`).FindAllStringSubmatch(body, -1) {
		size += packedSize(t, getAsset(p, http.MethodGet, match[1]).Body.String())
	}
	if size > 60_000 {
		t.Errorf("the page and its files have %d bytes compressed, want at most 60,000", size)
	}
	t.Logf("the page and its files have %d bytes compressed", size)
}

func packedSize(t *testing.T, text string) int {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Len()
}
