package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/terse/terse/web/webtest"
)

func TestWithoutScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := webtest.Start(t).Open(t, webtest.Look{NoScript: true})
	text := func(selector string) string {
		t.Helper()
		return webtest.Eval[string](tab, `document.querySelector("`+selector+`").textContent`)
	}
	tab.Visit(s.URL+"/", "url")
	if got := tab.Follow(chromedp.KeyEvent("example.com/x" + kb.Enter)); got != 422 {
		t.Fatalf("a form without a scheme is answered %d, want 422", got)
	}
	if got := text("#url-error"); got != "must begin with http:// or https://" {
		t.Errorf("complaint = %q, want that of the server", got)
	}
	if got := webtest.Eval[string](tab, `document.querySelector("#url").value`); got != "example.com/x" {
		t.Errorf("the form shows %q again, want what was typed", got)
	}
	webtest.Eval[any](tab, `document.querySelector("#url").value = "https://example.com/x"`)
	tab.Wait(`document.activeElement?.id === "url"`)
	if got := tab.Follow(chromedp.KeyEvent(kb.Enter)); got != 201 {
		t.Fatalf("a good form is answered %d, want 201", got)
	}
	if got := text(".result .url"); got != "https://example.com/x" {
		t.Errorf("target = %q, want what was typed", got)
	}
	if got := text(".short a"); got != s.base+"/k7Qx00000" {
		t.Errorf("short link = %q, want that of the site", got)
	}
	for _, id := range []string{"#recent", ".result button"} {
		if webtest.Eval[bool](tab, `document.querySelector("`+id+`").checkVisibility()`) {
			t.Errorf("%s shows, which needs a script", id)
		}
	}
	checkQuiet(t, s, tab)
}

// TestPasswordLeadsOn has the password typed at a plain http address, where
// browsers send no Sec-Fetch-Site: the form must arrive with its origin, and
// the redirect to another origin must pass the page's own policy.
func TestPasswordLeadsOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := webtest.Start(t).Open(t, webtest.Look{})
	tab.Visit(elsewhere(t, s)+"/secret", "password")
	if got := tab.Follow(chromedp.KeyEvent("wrong" + kb.Enter)); got != 403 {
		t.Fatalf("a wrong password is answered %d, want 403", got)
	}
	if got := webtest.Eval[string](tab, `document.querySelector("#password-error").textContent`); got != "That is not the password of this link." {
		t.Errorf("complaint = %q, want that the password is wrong", got)
	}
	tab.Wait(`document.activeElement?.id === "password"`)
	tab.Follow(chromedp.KeyEvent(password + kb.Enter))
	if got := webtest.Eval[string](tab, `location.href`); got != s.URL+"/landing" {
		t.Errorf("the right password leads to %q, want %q", got, s.URL+"/landing")
	}
}
