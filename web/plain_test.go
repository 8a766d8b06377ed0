package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/terse/terse/internal/testenv/browser"
)

func TestWithoutScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{NoScript: true})
	text := func(selector string) string {
		t.Helper()
		return browser.Eval[string](tab, `document.querySelector("`+selector+`").textContent`)
	}
	tab.Visit(s.URL+"/", "url")
	if got := tab.Follow(chromedp.KeyEvent("example.com/x" + kb.Enter)); got != 422 {
		t.Fatalf("status of a form without a scheme = %d, want 422", got)
	}
	if got := text("#url-error"); got != "must begin with http:// or https://" {
		t.Errorf("error = %q, want the server's message", got)
	}
	if got := browser.Eval[string](tab, `document.querySelector("#url").value`); got != "example.com/x" {
		t.Errorf("URL field = %q, want the submitted text", got)
	}
	browser.Eval[any](tab, `document.querySelector("#url").value = "https://example.com/x"`)
	tab.Wait(`document.activeElement?.id === "url"`)
	if got := tab.Follow(chromedp.KeyEvent(kb.Enter)); got != 200 {
		t.Fatalf("status of a valid form = %d, want 200 after a redirect", got)
	}
	if got := text(".result .url"); got != "https://example.com/x" {
		t.Errorf("target = %q, want the submitted URL", got)
	}
	if got := text(".short a"); got != s.base+"/k7Qx00000" {
		t.Errorf("short link = %q, want a link of the site", got)
	}
	for _, id := range []string{"#recent", ".result button"} {
		if browser.Eval[bool](tab, `document.querySelector("`+id+`").checkVisibility()`) {
			t.Errorf("%s is visible, but needs a script", id)
		}
	}
	checkQuiet(t, s, tab)
}

// TestContinueLeadsOn presses Continue without a script, on a plain http page. See
// TestPasswordLeadsOn.
func TestContinueLeadsOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{NoScript: true})
	tab.Do(chromedp.Navigate(elsewhere(t, s) + "/once"))
	tab.Wait(`document.activeElement?.type === "submit"`)
	tab.Follow(chromedp.KeyEvent(kb.Enter))
	if got := browser.Eval[string](tab, `location.href`); got != s.URL+"/landing" {
		t.Errorf("Continue leads to %q, want %q", got, s.URL+"/landing")
	}
}

// TestPasswordLeadsOn submits a password on a plain http page, where browsers
// send no Sec-Fetch-Site. The form must send its Origin header, and the page's
// own policy must allow the redirect to another origin.
func TestPasswordLeadsOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Visit(elsewhere(t, s)+"/secret", "password")
	if got := tab.Follow(chromedp.KeyEvent("wrong" + kb.Enter)); got != 403 {
		t.Fatalf("status of a wrong password = %d, want 403", got)
	}
	if got := browser.Eval[string](tab, `document.querySelector("#password-error").textContent`); got != "That is not the password of this link." {
		t.Errorf("error = %q, want a message about a wrong password", got)
	}
	tab.Wait(`document.activeElement?.id === "password"`)
	tab.Follow(chromedp.KeyEvent(password + kb.Enter))
	if got := browser.Eval[string](tab, `location.href`); got != s.URL+"/landing" {
		t.Errorf("the right password leads to %q, want %q", got, s.URL+"/landing")
	}
}
