package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/browser"
)

// TestInTheBrowser uses a real server as a person does: it shortens a URL, reads the QR
// code and the preview, reports the link and follows it.
func TestInTheBrowser(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	p := start(t, dataDir(t))
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>the target</title>")
	}))
	defer target.Close()
	b := browser.Start(t)
	for _, look := range []browser.Look{{}, {NoScript: true}, {Dark: true, Width: 360}} {
		t.Run(fmt.Sprintf("%+v", look), func(t *testing.T) {
			tab := b.Open(t, look)
			tab.Visit(p.url+"/", "url")
			long := fmt.Sprintf("%s/page?look=%v", target.URL, look.NoScript)
			if look.NoScript {
				if got := tab.Follow(chromedp.KeyEvent(long + kb.Enter)); got != http.StatusOK {
					t.Fatalf("the form = %d, want 200 after a redirect", got)
				}
			} else {
				tab.Do(chromedp.KeyEvent(long + kb.Enter))
			}
			tab.Wait(`document.querySelector(".short a")?.href.startsWith("` + p.url + `/")`)
			tab.Wait(`document.querySelector(".result img")?.naturalWidth > 0`)
			tab.Screenshot(fmt.Sprintf("result-%v-%v", look.NoScript, look.Dark))
			short := browser.Eval[string](tab, `document.querySelector(".short a").href`)

			tab.Do(chromedp.Navigate(short + "+"))
			if got := browser.Eval[string](tab, `document.body.textContent`); !strings.Contains(got, long) {
				t.Errorf("the preview does not name %s", long)
			}
			tab.Screenshot(fmt.Sprintf("preview-%v-%v", look.NoScript, look.Dark))
			browser.Eval[any](tab, `document.querySelector(".report").open = true`)
			tab.Do(
				chromedp.SetValue("#reason", "spam"),
				chromedp.SendKeys("#email", "ann"),
				chromedp.SendKeys("#comment", "It came\nby mail."),
			)
			browser.Eval[any](tab, `document.querySelector("#email").type = "text"`) // the server decides, not the browser
			if got := tab.Follow(chromedp.Click(".report button")); got != http.StatusUnprocessableEntity {
				t.Errorf("a report with a bad email address = %d, want 422", got)
			}
			tab.Screenshot(fmt.Sprintf("report-%v-%v", look.NoScript, look.Dark))
			tab.Do(chromedp.SetValue("#email", "ann@example.com"))
			if got := tab.Follow(chromedp.Click(".report button")); got != http.StatusOK {
				t.Errorf("a report = %d, want 200", got)
			}
			tab.Wait(`document.querySelector(".thanks")?.checkVisibility()`)
			tab.Screenshot(fmt.Sprintf("reported-%v-%v", look.NoScript, look.Dark))
			tab.Do(chromedp.Navigate(short))
			if got := browser.Eval[string](tab, `location.href`); got != long {
				t.Errorf("%s redirects to %s, want %s", short, got, long)
			}
			if got := tab.Complaints(); len(got) > 0 {
				t.Errorf("the browser complains: %q", got)
			}
		})
	}
}

// TestDocsInTheBrowser checks that the API documentation works under its content security
// policy, and that it loads everything from the server itself.
func TestDocsInTheBrowser(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	p := start(t, dataDir(t))
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(p.url + "/api/docs"))
	tab.Wait(`document.querySelectorAll(".opblock").length >= 9`)
	tab.Screenshot("docs")
	for _, r := range tab.Requests() {
		if !strings.HasPrefix(r, p.url+"/") && !strings.HasPrefix(r, "data:") {
			t.Errorf("the page loads %s from elsewhere", r)
		}
	}
	if got := tab.Complaints(); len(got) > 0 {
		t.Errorf("the browser complains: %q", got)
	}
}
