package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/browser"
)

// TestPasskeyInTheBrowser goes from an invitation to a passkey, signs out, signs in with the passkey, and creates a link.
func TestPasskeyInTheBrowser(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	p := start(t, t.TempDir())
	tab := browser.Start(t).Open(t, browser.Look{Width: 360})
	text := func() string { return browser.Eval[string](tab, "document.body.innerText") }
	click := func(selector string) {
		t.Helper()
		if got := tab.Follow(chromedp.Click(selector)); got != http.StatusOK {
			t.Fatalf("%s leads to a %d: %s", selector, got, text())
		}
	}
	tab.Do(chromedp.Navigate(p.oneTime))
	click("main button")
	click(`.sections a[href="/~/members"]`)
	tab.Do(chromedp.SendKeys("#name", "Ben"), chromedp.SetValue("#role", "editor"))
	click(".editor .button")
	invitation := browser.Eval[string](tab, `document.querySelector("main .box").textContent`)
	click(".sections form button")

	tab.AddAuthenticator()
	tab.Do(chromedp.Navigate(invitation))
	tab.Screenshot("passkey-invitation")
	click("form[data-passkey] button")
	if got := text(); !strings.Contains(got, "Signed in with Ben") || strings.Contains(got, "tk_") {
		t.Fatalf("the page after joining with a passkey is %s", got)
	}
	click(`.sections a[href="/~/sessions"]`)
	tab.Screenshot("passkey-sessions")
	for _, v := range browser.Axe(tab) {
		if v.Grave() {
			t.Errorf("sessions: %s (%s): %s: %q", v.ID, v.Impact, v.Help, v.Nodes)
		}
	}
	if got := browser.Eval[int64](tab, "document.documentElement.scrollWidth"); got > 360 {
		t.Errorf("the page of sessions is %d pixels wide", got)
	}
	// The device has a passkey of this member, and makes no second one.
	tab.Do(chromedp.Click("form[data-passkey] button"))
	tab.Wait(`document.querySelector("form[data-passkey] .error").textContent.includes("already")`)
	click(".sections form button")

	tab.Screenshot("passkey-sign-in")
	click("form[data-passkey] button")
	if got := text(); !strings.Contains(got, "Signed in with Ben") {
		t.Fatalf("the page after the sign-in with a passkey is %s", got)
	}
	click(`.sections a[href="/~/new"]`)
	tab.Do(chromedp.SetValue("#url", "https://example.com/passkey"), chromedp.SendKeys("#alias", "passkey"))
	click("main form .button")
	response, err := client(t).Get(p.url + "/passkey")
	must(t, err)
	must(t, response.Body.Close())
	if got := response.Header.Get("Location"); got != "https://example.com/passkey" {
		t.Errorf("the link leads to %q", got)
	}

	click(`.sections a[href="/~/sessions"]`)
	click(`form[action*="/passkeys/remove/"] button`)
	click(".sections form button")
	if got := tab.Follow(chromedp.Click("form[data-passkey] button")); got != http.StatusForbidden || !strings.Contains(text(), "was removed") {
		t.Errorf("a sign-in with a removed passkey = %d: %s", got, text())
	}
}
