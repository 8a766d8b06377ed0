package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/browser"
)

func TestEveryPageInEveryLook(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newSite(t)
	b := browser.Start(t)
	pages := []string{
		"/", "/show/keys", "/show/result", "/show/errors", "/show/preview", "/show/rules", "/show/report", "/show/reported", "/show/long", "/show/hidden", "/show/counted", "/show/confirm",
		"/show/password", "/show/stats", "/show/stats-empty", "/show/stats-errors", "/show/stats-tag", "/show/stats-people", "/show/404", "/show/410", "/show/451", "/show/429",
	}
	for _, look := range []browser.Look{{Width: 1280}, {Width: 1280, Dark: true}, {Width: 360}, {Width: 360, Dark: true}} {
		tab := b.Open(t, look)
		for _, page := range pages {
			name := fmt.Sprintf("%s at %d pixels, dark %t", page, look.Width, look.Dark)
			tab.Do(chromedp.Navigate(s.URL + page))
			for _, v := range browser.Axe(tab) {
				if v.Grave() {
					t.Errorf("%s: %s (%s): %s: %q", name, v.ID, v.Impact, v.Help, v.Nodes)
				}
			}
			if got := browser.Eval[int64](tab, "document.documentElement.scrollWidth"); got > look.Width {
				t.Errorf("%s is %d pixels wide", name, got)
			}
		}
		checkQuiet(t, s, tab)
	}
}

// checkQuiet fails the test for every browser complaint and for every request to
// another origin.
func checkQuiet(t *testing.T, s *site, tab *browser.Tab) {
	t.Helper()
	for _, complaint := range tab.Complaints() {
		t.Errorf("the browser complains: %s", complaint)
	}
	for _, u := range tab.Requests() {
		if !strings.HasPrefix(u, s.URL+"/") {
			t.Errorf("request to another origin: %s", u)
		}
	}
}

func TestAxeFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + "/"))
	browser.Eval[any](tab, `document.querySelector("label[for=title]").remove()`)
	browser.Eval[any](tab, `document.querySelector("details").open = true`)
	found := browser.Axe(tab)
	if len(found) == 0 || !found[0].Grave() {
		t.Errorf("axe on a form with an unlabeled input = %+v, want a grave violation", found)
	}
	browser.Eval[any](tab, `console.error("loud")`)
	tab.Wait("true")
	if got := tab.Complaints(); len(got) != 1 {
		t.Errorf("complaints after console.error = %q, want one", got)
	}
}
