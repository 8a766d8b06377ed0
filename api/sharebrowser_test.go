package api_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/browser"
	"github.com/terse/terse/store"
)

// hostileValues are values of clicks that try to break the page.
var hostileValues = []string{
	`<script>document.title="broken"</script>`, `"><img src=x onerror=alert(1)>`, "\u202egro.elpmaxe\u2066", "=HYPERLINK(1)",
	strings.Repeat("\u0e01", 42), strings.Repeat("w", 128), "\u200b", "(other)", "{{.}}", "' onfocus='alert(1)",
}

// addYear records a year of clicks of a link, as a recorder does, and folds them into days.
func addYear(t *testing.T, s *server, code string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(values ...string) string { return values[int(random.ExpFloat64()*2)%len(values)] }
	batch := store.ClickBatch{Recorder: "r", Seq: 1}
	for back := range 365 {
		at := s.clock.Now().AddDate(0, 0, -back)
		var clicks day.Day
		for range 40 + random.IntN(80) {
			c := day.Click{Quarter: random.IntN(96), N: 1, Visitor: random.Uint64()}
			c.Values = [day.Dimensions]string{
				day.Class:   pick(day.Person, day.Person, day.Person, "preview", "crawler", "head"),
				day.Country: pick("DE", "US", "FR", "T1", "IN", "BR", "JP", "GB", "NL", "PL", "SE", "XK"), day.Referrer: pick("Google", "", "LinkedIn", "news.example", "android-app://com.example"),
				day.Device: pick("phone", "desktop", "tablet"), day.Browser: pick("Chrome", "Safari", "Firefox", "Instagram"), day.OS: pick("Android", "iOS", "Windows", ""),
				day.Language: pick("de", "en", "fr"), day.Source: pick("link", "qr"), day.UTMSource: pick("newsletter", hostileValues[random.IntN(len(hostileValues))]),
				day.UTMCampaign: pick("spring", "summer", ""),
			}
			clicks.Add(c)
		}
		batch.Days = append(batch.Days, store.ClickDay{Kind: store.ClickLink, Key: code, Day: store.DayOf(at), Data: clicks.Append(nil)})
	}
	batch.Counts = []store.ClickCount{{Code: code, N: 1, Last: s.clock.Now()}}
	must(t, s.store.AddClicks(t.Context(), batch))
	if n, err := s.store.(store.ClickFolder).FoldClicks(t.Context(), 10, day.Fold); n != 1 || err != nil {
		t.Fatalf("FoldClicks = %d, %v, want the batch", n, err)
	}
}

// newSharedServer starts a server with a year of clicks of the link spring in an embedded database,
// and returns the path of its shared page.
func newSharedServer(t *testing.T, settings string) (*server, string) {
	t.Helper()
	s := newServer(t)
	owner := s.counter()
	s.create(`{"url":"https://example.com/","alias":"spring","tags":["a <b>"]}`, owner...)
	addYear(t, s, "spring")
	_, page := s.share("/api/v1/links/spring/share", settings, owner...)
	return s, page
}

func TestSharedPageInTheBrowser(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s, page := newSharedServer(t, "")
	b := browser.Start(t)
	for _, look := range []browser.Look{{Width: 1280}, {Width: 1280, Dark: true}, {Width: 360}, {Width: 360, Dark: true}, {Width: 360, NoScript: true}} {
		name := fmt.Sprintf("%d-dark-%t-noscript-%t", look.Width, look.Dark, look.NoScript)
		tab := b.Open(t, look)
		tab.Do(chromedp.Navigate(s.URL + page + "?tz=Europe/Berlin&compare=true"))
		if !look.NoScript {
			tab.Wait(`document.querySelector("#chart canvas")?.width > 0`)
		}
		tab.Screenshot("shared-" + name)
		tab.Do(chromedp.Navigate(s.URL + page + "?interval=week&limit=100&from=" + s.clock.Now().AddDate(-1, 0, 2).Format(time.DateOnly)))
		tab.Screenshot("shared-year-" + name)
		if !look.NoScript {
			for _, v := range browser.Axe(tab) {
				if v.Grave() {
					t.Errorf("%s: %s (%s): %s: %q", name, v.ID, v.Impact, v.Help, v.Nodes)
				}
			}
		}
		if got := browser.Eval[int64](tab, "document.documentElement.scrollWidth"); got > look.Width {
			t.Errorf("%s: the page is %d pixels wide", name, got)
		}
		if got := browser.Eval[string](tab, "document.title"); got != "Clicks: go.terse.example/spring · Terse" {
			t.Errorf("%s: the title is %q", name, got)
		}
		if got := browser.Eval[int](tab, "document.querySelectorAll('main script, main img').length"); got != 0 {
			t.Errorf("%s: values became %d elements", name, got)
		}
		shown := browser.Eval[string](tab, "document.querySelector('[data-dimension=utm_source]').textContent")
		for _, value := range hostileValues {
			if value = strings.NewReplacer("\u202e", "(U+202E)", "\u2066", "(U+2066)", "\u200b", "(U+200B)").Replace(value); !strings.Contains(shown, value) {
				t.Errorf("%s: the page does not show %q", name, value)
			}
		}
		for _, complaint := range tab.Complaints() {
			t.Errorf("%s: the browser complains: %s", name, complaint)
		}
		for _, u := range tab.Requests() {
			if !strings.HasPrefix(u, s.URL+"/") {
				t.Errorf("%s: request to another origin: %s", name, u)
			}
		}
	}
}

// TestSharedPageInPrint checks that a printed page has the whole table and no form.
func TestSharedPageInPrint(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s, page := newSharedServer(t, "")
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + page))
	_, err := chromedp.Call(tab.Context(), emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	must(t, err)
	tab.Wait(`!document.querySelector(".picker").checkVisibility()`)
	if !browser.Eval[bool](tab, `document.querySelector(".scroll").scrollHeight === document.querySelector(".scroll").clientHeight`) {
		t.Error("the printed table is cut")
	}
	tab.Screenshot("shared-print")
}

// TestSharedPageByForm enters a password, changes the range by the form, and waits for live totals,
// with and without scripts.
func TestSharedPageByForm(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s, page := newSharedServer(t, `{"password":"open sesame"}`)
	b := browser.Start(t)
	for _, look := range []browser.Look{{}, {NoScript: true}} {
		tab := b.Open(t, look)
		tab.Visit(s.URL+page+"?tz=Asia/Kolkata", "password")
		tab.Screenshot("shared-password")
		if got := tab.Follow(chromedp.KeyEvent("wrong" + kb.Enter)); got != http.StatusForbidden {
			t.Errorf("a wrong password = %d, want 403", got)
		}
		tab.Wait(`document.activeElement?.id === "password"`)
		if got := tab.Follow(chromedp.KeyEvent("open sesame" + kb.Enter)); got != http.StatusOK {
			t.Fatalf("the right password = %d, want 200 after a redirect", got)
		}
		if got := browser.Eval[string](tab, `document.getElementById("tz").value`); got != "Asia/Kolkata" {
			t.Errorf("the zone after the password = %q, want that of the address", got)
		}
		browser.Eval[any](tab, `document.getElementById("class").value = "people"; document.getElementById("interval").value = "hour"; document.getElementById("from").value = "`+s.clock.Now().Format(time.DateOnly)+`"`)
		if got := tab.Follow(chromedp.Click(".picker button")); got != http.StatusOK {
			t.Errorf("the form = %d, want 200", got)
		}
		for _, want := range []string{"class=people", "interval=hour", "tz=Asia%2FKolkata"} {
			if got := browser.Eval[string](tab, "location.search"); !strings.Contains(got, want) {
				t.Errorf("the address after the form is %q, want %q in it", got, want)
			}
		}
		if !look.NoScript {
			tab.Wait(`document.getElementById("live").checkVisibility()`)
		}
		if got := tab.Complaints(); len(got) > 0 {
			t.Errorf("the browser complains: %q", got)
		}
	}
}
