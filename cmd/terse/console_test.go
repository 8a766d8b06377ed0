package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/browser"
)

// TestConsoleInTheBrowser goes from the first start to the first edited link, and to the first key of
// somebody else, in every look.
func TestConsoleInTheBrowser(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	b := browser.Start(t)
	for _, look := range []browser.Look{{Width: 1280}, {Width: 360, Dark: true}, {Width: 360, NoScript: true}} {
		name := fmt.Sprintf("%d-dark-%t-noscript-%t", look.Width, look.Dark, look.NoScript)
		t.Run(name, func(t *testing.T) {
			p := start(t, t.TempDir())
			if p.oneTime == "" {
				t.Fatal("the first start printed no one-time link")
			}
			tab := b.Open(t, look)
			check := func(screen string) {
				t.Helper()
				tab.Screenshot("console-" + screen + "-" + name)
				if got := browser.Eval[int64](tab, "document.documentElement.scrollWidth"); got > look.Width {
					t.Errorf("%s is %d pixels wide", screen, got)
				}
				if look.NoScript {
					return
				}
				for _, v := range browser.Axe(tab) {
					if v.Grave() {
						t.Errorf("%s: %s (%s): %s: %q", screen, v.ID, v.Impact, v.Help, v.Nodes)
					}
				}
			}
			click := func(selector string, want int) {
				t.Helper()
				if got := tab.Follow(chromedp.Click(selector)); got != want {
					t.Errorf("%s leads to a %d, want %d: %s", selector, got, want, browser.Eval[string](tab, "document.body.innerText"))
				}
			}
			text := func() string { return browser.Eval[string](tab, "document.body.innerText") }

			tab.Do(chromedp.Navigate(p.url + "/"))
			click(`nav a[href="/~/"]`, http.StatusOK)
			check("sign-in")
			tab.Do(chromedp.Navigate(p.oneTime))
			check("one-time")
			click("main button", http.StatusOK)
			check("empty")
			click(`.screen-head a[href="/~/new"]`, http.StatusOK)
			check("new")
			tab.Do(chromedp.SendKeys("#url", "example.com"))
			click("main form .button", http.StatusUnprocessableEntity)
			check("new-wrong")
			tab.Do(chromedp.SetValue("#url", "https://example.com/first"), chromedp.SendKeys("#alias", "spring"), chromedp.SendKeys("#title", "Spring <b>sale</b>"), chromedp.SendKeys("#tags", "campaign"))
			click("main form .button", http.StatusOK)
			check("link")
			click(`.tabs a[href$="/edit"]`, http.StatusOK)
			check("edit")
			tab.Do(chromedp.SetValue("#url", "https://example.com/second"))
			click("main .editor .button", http.StatusOK)
			if got := text(); !strings.Contains(got, "https://example.com/second") || !strings.Contains(got, "The changes are saved.") {
				t.Errorf("the page after the edit is %s", got)
			}
			response, err := client(t).Get(p.url + "/spring")
			must(t, err)
			must(t, response.Body.Close())
			if got := response.Header.Get("Location"); got != "https://example.com/second" {
				t.Errorf("the link leads to %q after the edit", got)
			}
			click(`.tabs a[href$="/stats"]`, http.StatusOK)
			check("stats")
			click(`.tabs a[href$="/qr"]`, http.StatusOK)
			check("qr")
			click(`.tabs a[href$="/explain"]`, http.StatusOK)
			check("explain")
			click(`.tabs a[href$="/history"]`, http.StatusOK)
			check("history")
			click(".revisions button", http.StatusOK)
			if got := text(); !strings.Contains(got, "https://example.com/first") {
				t.Errorf("the page after the roll-back is %s", got)
			}

			click(`.sections a[href="/~/links"]`, http.StatusOK)
			check("links")
			if look.NoScript {
				if got := tab.Follow(chromedp.SendKeys("#q", "nothing"+kb.Enter)); got != http.StatusOK {
					t.Errorf("a search = %d, want 200", got)
				}
			} else {
				tab.Do(chromedp.SendKeys("#q", "nothing"))
				tab.Wait(`document.getElementById("found").textContent === "No link"`)
				browser.Eval[any](tab, `document.getElementById("q").value = ""`)
				tab.Do(chromedp.SendKeys("#q", "SALE"))
				tab.Wait(`document.getElementById("found").textContent === "1 link" && location.search === "?q=SALE"`)
			}

			click(`.sections a[href="/~/tags"]`, http.StatusOK)
			check("tags")
			click(`tbody a[href^="/~/stats"]`, http.StatusOK)
			check("tag-stats")
			click(`.sections a[href="/~/stats"]`, http.StatusOK)
			check("all-stats")
			sheet := filepath.Join(t.TempDir(), "links.csv")
			must(t, os.WriteFile(sheet, []byte(spreadsheet()), 0o600))
			for _, round := range []string{"first", "second"} {
				click(`.sections a[href="/~/import"]`, http.StatusOK)
				if round == "first" {
					check("import")
				}
				tab.Do(chromedp.SetUploadFiles("#file", []string{sheet}))
				click("main form .button", http.StatusOK)
				if round == "first" {
					check("columns")
				}
				click("main form .button", http.StatusOK)
				if got := text(); !strings.Contains(got, "Imported 498 links, rejected 2 of 500 rows") || !strings.Contains(got, "is taken") {
					t.Errorf("the %s report of the import is %.600s", round, got)
				}
			}
			check("imported")
			if got := browser.Eval[int](tab, `fetch("/~/links.csv").then((file) => file.text()).then((text) => text.trim().split("\n").length - 1)`); got != 499 {
				t.Errorf("there are %d links after the import, want 499", got)
			}

			click(`.sections a[href="/~/domains"]`, http.StatusOK)
			tab.Do(chromedp.SendKeys("#host", "go.example.com"), chromedp.Click(`[name="verified"]`))
			click("main form .button", http.StatusOK)
			check("domain")
			click(`.tabs a[href$="/edit"]`, http.StatusOK)
			check("domain-settings")
			click(`.tabs a[href$="/remove"]`, http.StatusOK)
			check("domain-remove")
			click(`.sections a[href="/~/domains"]`, http.StatusOK)
			check("domains")

			response, err = client(t).PostForm(p.url+"/spring+", url.Values{"reason": {"spam"}, "comment": {"It is\nspam <b>"}})
			must(t, err)
			must(t, response.Body.Close())
			click(`.sections a[href="/~/reports"]`, http.StatusOK)
			tab.Do(chromedp.Click("main li details:last-of-type summary"))
			check("reports")
			click("main li details:last-of-type .button", http.StatusOK)
			if got := text(); !strings.Contains(got, "The report is closed.") {
				t.Errorf("the page after closing a report is %s", got)
			}
			click(`.sections a[href="/~/blocklist"]`, http.StatusOK)
			tab.Do(chromedp.SendKeys("#host", "=evil.example"))
			click("main .editor .button", http.StatusOK)
			check("blocklist")

			click(`.sections a[href="/~/keys"]`, http.StatusOK)
			tab.Do(chromedp.SendKeys("#name", "Ann"))
			click(".editor .button", http.StatusOK)
			check("keys")
			key := regexp.MustCompile(`tk_[0-9a-f]{64}`).FindString(text())
			click(`.sections a[href="/~/members"]`, http.StatusOK)
			tab.Do(chromedp.SendKeys("#name", "Ben \u05d1\u05df"))
			click(".editor .button", http.StatusOK)
			check("members")
			invitation := browser.Eval[string](tab, `document.querySelector("main .box").textContent`)
			click(`.sections a[href="/~/sessions"]`, http.StatusOK)
			check("sessions")
			click(".sections button", http.StatusOK)
			tab.Do(chromedp.Navigate(invitation))
			check("invitation")
			click("main form:not([data-passkey]) button", http.StatusOK)
			check("welcome")
			click("main a.button", http.StatusOK)
			if got := text(); !strings.Contains(got, "Signed in with Ben") {
				t.Errorf("the first page of a new member is %s", got)
			}
			click(".sections button", http.StatusOK)
			tab.Visit(p.url+"/~/links/default/spring", "key")
			if got := tab.Follow(chromedp.KeyEvent(key + kb.Enter)); got != http.StatusOK {
				t.Errorf("the sign-in with the new key = %d, want 200: %s", got, text())
			}
			if got := browser.Eval[string](tab, "location.pathname"); got != "/~/links/default/spring" {
				t.Errorf("the sign-in leads to %s, want the page before", got)
			}
			click(`.tabs a[href$="/delete"]`, http.StatusOK)
			check("delete")
			click("main form .button", http.StatusOK)
			if got := text(); !strings.Contains(got, "The link is deleted.") {
				t.Errorf("the page after the delete is %s", got)
			}
			if got := tab.Complaints(); len(got) > 0 {
				t.Errorf("the browser complains: %q", got)
			}
		})
	}
}

// spreadsheet returns a CSV file of 500 rows, of which 2 have the alias of another link.
func spreadsheet() string {
	var b strings.Builder
	b.WriteString("Destination URL,Slug,Name,Labels\r\n")
	for i := range 500 {
		slug := ""
		switch i {
		case 7, 8:
			slug = "summer"
		case 9:
			slug = "spring" // of a link that exists
		}
		fmt.Fprintf(&b, "https://example.com/products/%d?utm_source=mail,%s,\"Product %d, <b>new</b>\",\"products, mail\"\r\n", i, slug, i)
	}
	return b.String()
}

func TestSignInCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := []string{"TERSE_DATA_DIR=" + dir}
	if got := terse(t, environ, "sign-in"); got.status != 1 || !strings.Contains(got.stderr, "there is no database") {
		t.Errorf("sign-in without a database = %+v, want status 1", got)
	}
	if got := terse(t, append(environ, "TERSE_BASE_URL=nonsense", "TERSE_CODE_KEY=short"), "sign-in"); got.status != 2 || !strings.Contains(got.stderr, "TERSE_BASE_URL") || !strings.Contains(got.stderr, "TERSE_CODE_KEY") {
		t.Errorf("sign-in with wrong settings = %+v, want status 2 naming them", got)
	}
	if got := terse(t, nil, "key", "create", "--name", "x", "--init", "--data-dir", dir); got.status != 0 {
		t.Fatalf("key create = %+v", got)
	}
	if got := terse(t, environ, "sign-in"); got.status != 1 || !strings.Contains(got.stderr, "Start the server first") {
		t.Errorf("sign-in before the first start = %+v, want status 1", got)
	}
	p := start(t, dir)
	if p.oneTime != "" {
		t.Errorf("a server with a key printed the one-time link %s", p.oneTime)
	}
	got := terse(t, append(environ, "TERSE_BASE_URL="+p.url), "sign-in")
	link := strings.TrimSpace(got.stdout)
	if got.status != 0 || !strings.HasPrefix(link, p.url+"/~/in/") {
		t.Fatalf("sign-in = %+v, want a link", got)
	}
	if got := terse(t, append(environ, "TERSE_BASE_URL=https://sho.rt", "TERSE_APP_URL=https://console.sho.rt"), "sign-in"); !strings.HasPrefix(got.stdout, "https://console.sho.rt/~/in/") {
		t.Errorf("sign-in with TERSE_APP_URL = %+v, want a link to the console", got)
	}
	if got := terse(t, append(environ, "TERSE_BASE_URL=https://sho.rt", "TERSE_APP_URL=https://sho.rt"), "sign-in"); got.status != 2 || !strings.Contains(got.stderr, "TERSE_APP_URL") {
		t.Errorf("sign-in with a wrong TERSE_APP_URL = %+v, want status 2", got)
	}
	for i, want := range []int{http.StatusSeeOther, http.StatusGone} {
		response, err := client(t).Post(link, "", nil)
		must(t, err)
		must(t, response.Body.Close())
		if response.StatusCode != want {
			t.Errorf("POST %d of the link = %d, want %d", i+1, response.StatusCode, want)
		}
		if i > 0 {
			continue
		}
		c := response.Cookies()[0]
		if c.Name != "terse_session" || c.Secure || !c.HttpOnly {
			t.Errorf("the cookie over http is %v", c)
		}
		if listed := terse(t, environ, "key", "list"); !strings.Contains(listed.stdout, "session of admin") {
			t.Errorf("key list = %s, want the session", listed.stdout)
		}
	}
}
