package web_test

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/terse/terse/internal/testenv/browser"
)

const (
	focused   = `(document.activeElement.id || document.activeElement.dataset.part)`
	announced = `document.getElementById("announce").textContent`
)

// paste presses the paste keys of a desktop.
func paste() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: input.DispatchKeyEventTypeRawKeyDown, Key: "v", Code: "KeyV", Commands: []string{"paste"},
		})
		return err
	})
}

// elsewhere returns the site's address with a host name. The browser treats it
// as an insecure context, like a short domain without https.
func elsewhere(t *testing.T, s *site) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return "http://sho.test:" + u.Port()
}

func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := browser.Start(t)
	for name, origin := range map[string]string{"clipboard": s.URL, "clipboard fallback": elsewhere(t, s)} {
		t.Run(name, func(t *testing.T) {
			tab := b.Open(t, browser.Look{})
			tab.Visit(origin+"/", "url")
			tab.Do(chromedp.KeyEvent("example.com/" + name[:4] + kb.Enter))
			tab.Wait(focused + ` === "result-title"`)
			short := browser.Eval[string](tab, `document.querySelector("[data-part=short]").href`)
			if !strings.HasPrefix(short, s.base+"/k7Qx") {
				t.Errorf("short link = %q, want a link of %s", short, s.base)
			}
			if got := browser.Eval[string](tab, `document.querySelector("[data-part=target]").textContent`); got != "https://example.com/clip" {
				t.Errorf("target = %q, want https:// before the typed address", got)
			}
			tab.Do(chromedp.KeyEvent(kb.Tab + kb.Tab + kb.Enter))
			tab.Wait(announced + ` === "Copied"`)
			if got := browser.Eval[string](tab, focused); got != "copy" {
				t.Errorf("focus after copying = %q, want copy", got)
			}
			tab.Do(chromedp.KeyEvent(kb.Tab + kb.Tab + kb.Enter))
			tab.Wait(focused + ` === "url"`)
			tab.Do(paste())
			tab.Wait(`document.getElementById("url").value !== ""`)
			if got := browser.Eval[string](tab, `document.getElementById("url").value`); got != short {
				t.Errorf("clipboard = %q, want %q", got, short)
			}
			if origin == s.URL {
				checkQuiet(t, s, tab)
			}
		})
	}
}

func TestScriptSendsWhatIsFilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	if _, err := chromedp.Call(tab.Context(), emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "America/New_York"}); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, fill, want string }{
		{"url alone", `{url: "https://example.com/"}`, `{"url":"https://example.com/"}`},
		{
			"every field",
			`{url: "https://example.com/", alias: "spring", title: " a b ", expires_at: "2030-01-02T03:04", max_clicks: "12", password: " x "}`,
			`{"url":"https://example.com/","alias":"spring","title":" a b ","password":" x ","expires_at":"2030-01-02T08:04:00.000Z","max_clicks":12}`,
		},
		{"link that works once", `{url: "https://example.com/", max_clicks: " 1 "}`, `{"url":"https://example.com/","max_clicks":1,"confirm":true}`},
		{"host with a port", `{url: " example.com:8443/x "}`, `{"url":"https://example.com:8443/x"}`},
		{"host of other letters", `{url: "bücher.example?q"}`, `{"url":"https://bücher.example?q"}`},
		{"another scheme", `{url: "mailto:a@example.com"}`, `{"url":"mailto:a@example.com"}`},
		{"script", `{url: "javascript:alert(1)"}`, `{"url":"javascript:alert(1)"}`},
		{"words", `{url: "not an address"}`, `{"url":"not an address"}`},
		{"user", `{url: "good.com@evil.com"}`, `{"url":"good.com@evil.com"}`},
	}
	for i, test := range tests {
		tab.Do(chromedp.Navigate(s.URL + "/"))
		fill(tab, test.fill)
		tab.Wait(`document.querySelector(".result, [aria-invalid=true]") !== null`)
		bodies, _ := s.received()
		if len(bodies) != i+1 || bodies[i] != test.want {
			t.Errorf("%s: bodies = %q, want %q as the last of %d", test.name, bodies, test.want, i+1)
		}
	}
}

// TestTargetsAreText checks that the script shows a target as text. As markup,
// "&copy" would become a sign and "<b>" an element.
func TestTargetsAreText(t *testing.T) {
	t.Parallel()
	const target = "https://example.com/?a=1&copy=2#<b>bold</b>"
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + "/"))
	fill(tab, `{url: "`+target+`"}`)
	tab.Wait(`document.querySelector(".result") !== null`)
	for _, place := range []string{"[data-part=target]", "#recent-list span"} {
		if got := browser.Eval[string](tab, `document.querySelector("`+place+`").textContent`); got != target {
			t.Errorf("%s shows %q, want %q", place, got, target)
		}
	}
	checkQuiet(t, s, tab)
}

// fill sets the fields of the form and submits it.
func fill(tab *browser.Tab, values string) {
	browser.Eval[any](tab, `for (const [name, value] of Object.entries(`+values+`)) document.getElementById(name).value = value;
		document.getElementById("shorten").requestSubmit()`)
}

func TestErrorsStandAtTheirFields(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tests := []struct {
		name, fill, field, want, focus string
	}{
		{"422", `{url: "http://example.com"}`, "url-error", "must begin with http:// or https://", "url"},
		{"409", `{url: "https://example.com", alias: "taken"}`, "alias-error", "This alias is taken. Choose another.", "alias"},
		{"no number", `{url: "https://example.com", max_clicks: "-1"}`, "max_clicks-error", "must be a whole number", "max_clicks"},
		{"number out of range", `{url: "https://example.com", max_clicks: "9007199254740993"}`, "max_clicks-error", "must be a whole number", "max_clicks"},
		{"too long", `{url: "https://example.com/" + "é".repeat(4100)}`, "url-error", "must be at most 8192 bytes", "url"},
	}
	s.create("https://example.com", "taken")
	for _, test := range tests {
		tab.Do(chromedp.Navigate(s.URL + "/"))
		fill(tab, test.fill)
		tab.Wait(announced + ` === "One field must change"`)
		if got := browser.Eval[string](tab, `document.getElementById("`+test.field+`").textContent`); got != test.want {
			t.Errorf("%s: #%s = %q, want %q", test.name, test.field, got, test.want)
		}
		if got := browser.Eval[string](tab, focused); got != test.focus {
			t.Errorf("%s: focus = %q, want %q", test.name, got, test.focus)
		}
		if got := browser.Eval[bool](tab, `document.activeElement.checkVisibility()`); !got {
			t.Errorf("%s: #%s is not visible", test.name, test.focus)
		}
		if got := browser.Eval[int](tab, `document.querySelectorAll("[aria-invalid=true]").length`); got != 1 {
			t.Errorf("%s: %d fields are marked, want 1", test.name, got)
		}
	}
	checkQuiet(t, s, tab)
}

// TestAllWrongFieldsAtOnce checks that wrong fields that the script finds and those that the server
// finds are shown together.
func TestAllWrongFieldsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + "/"))
	fill(tab, `{url: "ftp://example.com", max_clicks: "many"}`)
	tab.Wait(announced + ` === "2 fields must change"`)
	for id, want := range map[string]string{"url-error": "must begin with http:// or https://", "max_clicks-error": "must be a whole number"} {
		if got := browser.Eval[string](tab, `document.getElementById("`+id+`").textContent`); got != want {
			t.Errorf("#%s = %q, want %q", id, got, want)
		}
	}
	checkQuiet(t, s, tab)
}

// TestResultShowsSettings checks that the result names what was set, and nothing else.
func TestResultShowsSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	if _, err := chromedp.Call(tab.Context(), emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "UTC"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ fill, want string }{
		{`{url: "https://example.com/"}`, ``},
		{`{url: "https://example.com/", title: "<b>Sale</b>"}`, `Title|<b>Sale</b>`},
		{
			`{url: "https://example.com/", title: "Sale", expires_at: "2030-01-02T03:04", max_clicks: "12", password: "x"}`,
			`Title|Sale|Expires|2 January 2030 at 03:04 UTC|Click limit|12|Password|Required`,
		},
	} {
		tab.Do(chromedp.Navigate(s.URL + "/"))
		fill(tab, test.fill)
		tab.Wait(`document.querySelector(".result") !== null`)
		got := browser.Eval[string](tab, `[...document.querySelectorAll(".result :is(dt, dd)")].filter((e) => e.checkVisibility()).map((e) => e.textContent).join("|")`)
		if got != test.want {
			t.Errorf("the result of %s shows %q, want %q", test.fill, got, test.want)
		}
	}
	checkQuiet(t, s, tab)
}

func TestRecentLinksHaveCopyAndQR(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + "/"))
	fill(tab, `{url: "https://example.com/", alias: "spring"}`)
	tab.Wait(`document.querySelector("#recent-list li") !== null`)
	tab.Do(chromedp.Navigate(s.URL + "/"))
	tab.Wait(`document.querySelector("#recent-list button") !== null`)
	browser.Eval[any](tab, `document.querySelector("#recent-list button").focus()`)
	tab.Do(chromedp.KeyEvent(kb.Enter))
	tab.Wait(announced + ` === "Copied"`)
	browser.Eval[any](tab, `document.getElementById("url").focus()`)
	tab.Do(paste())
	tab.Wait(`document.getElementById("url").value !== ""`)
	if got := browser.Eval[string](tab, `document.getElementById("url").value`); got != s.base+"/spring" {
		t.Errorf("clipboard = %q, want %q", got, s.base+"/spring")
	}
	if got, want := browser.Eval[string](tab, `document.querySelector("#recent-list a[href*=qr]").href`), s.URL+"/api/v1/links/spring/qr?format=svg&size=240"; got != want {
		t.Errorf("QR code of a recent link = %q, want %q", got, want)
	}
	for _, v := range browser.Axe(tab) {
		if v.Grave() {
			t.Errorf("%s (%s): %s: %q", v.ID, v.Impact, v.Help, v.Nodes)
		}
	}
	checkQuiet(t, s, tab)
}

func TestForgetAsks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + "/"))
	fill(tab, `{url: "https://example.com/"}`)
	tab.Wait(`document.querySelector("#recent-list li") !== null`)
	for _, yes := range []string{"false", "true"} {
		browser.Eval[any](tab, `window.confirm = (text) => { window.asked = text; return `+yes+`; }; document.getElementById("forget").click()`)
		if got, want := browser.Eval[string](tab, `window.asked`), "Forget the link that was made in this browser? The links keep working."; got != want {
			t.Errorf("Forget asks %q, want %q", got, want)
		}
		if got := browser.Eval[bool](tab, `document.getElementById("recent").hidden && localStorage.getItem("terse.recent") === null`); got != (yes == "true") {
			t.Errorf("after the answer %s the recent links are forgotten: %t", yes, got)
		}
	}
}

func TestRetryMakesNoSecondLink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	general := func(prefix string) {
		t.Helper()
		tab.Wait(`document.getElementById("general").textContent.startsWith("` + prefix + `")`)
	}
	tab.Do(chromedp.Navigate(s.URL + "/"))
	s.failWith(hangUp)
	fill(tab, `{url: "https://example.com/x"}`)
	general("The server could not be reached.")
	if got := browser.Eval[string](tab, `document.getElementById("url").value`); got != "https://example.com/x" {
		t.Errorf("URL field after a failure = %q, want the typed URL", got)
	}
	s.failWith(429)
	fill(tab, `{}`)
	general("The limit of creates is reached. Try again in 7 seconds.")
	s.failWith(hangUp)
	fill(tab, `{}`)
	general("The server could not be reached.")
	s.failWith(0)
	fill(tab, `{url: "https://example.com/y"}`)
	tab.Wait(`document.querySelector(".result") !== null`)
	_, keys := s.received()
	// One key for the first attempt and its retry, one after the 429, and one for
	// the other body.
	if used := slices.Compact(keys); len(used) != 3 || len(used[0]) != 32 {
		t.Errorf("idempotency keys = %q, want 3 of 32 digits", used)
	}
}

func TestRecentLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	many := make([]map[string]string, 30)
	for i := range many {
		many[i] = map[string]string{"short_url": s.base + "/old" + string(rune('a'+i)), "url": "https://example.com/"}
	}
	full, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, stored string
		want         int // entries after one more link
	}{
		{"empty", `null`, 1},
		{"no JSON", `<script>`, 1},
		{"another form", `{"length": 3}`, 1},
		{"strange entries", `[null, 1, "x", {}, {"short_url": 5, "url": 6}, [[]]]`, 1},
		{"other origins", `[{"short_url":"javascript:alert(1)","url":"x"},{"short_url":"` + s.base + `.evil.example/x","url":"x"}]`, 1},
		{"markup", `[{"short_url":"` + s.base + `/<img src=x onerror=alert(1)>","url":"<img src=x onerror=alert(1)>"}]`, 2},
		{"full", string(full), 20},
	}
	for _, test := range tests {
		tab.Do(chromedp.Navigate(s.URL + "/"))
		stored, err := json.Marshal(test.stored)
		if err != nil {
			t.Fatal(err)
		}
		browser.Eval[any](tab, `localStorage.setItem("terse.recent", `+string(stored)+`)`)
		tab.Do(chromedp.Reload())
		fill(tab, `{url: "https://example.com/new"}`)
		tab.Wait(`document.querySelector(".result") !== null`)
		if got := browser.Eval[int](tab, `document.querySelectorAll("#recent-list li").length`); got != test.want {
			t.Errorf("%s: %d recent links, want %d", test.name, got, test.want)
		}
		if got := browser.Eval[string](tab, `document.querySelector("#recent-list span").textContent`); got != "https://example.com/new" {
			t.Errorf("%s: the first recent link leads to %q, want the new target", test.name, got)
		}
		if got := browser.Eval[int](tab, `document.querySelectorAll("#recent-list img").length`); got != 0 {
			t.Errorf("%s: stored markup became an element", test.name)
		}
		browser.Eval[any](tab, `window.confirm = () => true; document.getElementById("forget").click()`)
		tab.Do(chromedp.Reload())
		if !browser.Eval[bool](tab, `document.getElementById("recent").hidden`) {
			t.Errorf("%s: recent links are visible after Forget", test.name)
		}
	}
	checkQuiet(t, s, tab)
}

func TestStorageIsOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	off := page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `Object.defineProperty(window, "localStorage", {get() { throw new DOMException("off", "SecurityError"); }})`,
	}
	if _, err := chromedp.Call(tab.Context(), page.AddScriptToEvaluateOnNewDocument, off); err != nil {
		t.Fatal(err)
	}
	tab.Do(chromedp.Navigate(s.URL + "/"))
	fill(tab, `{url: "https://example.com/new"}`)
	tab.Wait(focused + ` === "result-title"`)
	checkQuiet(t, s, tab)
}

func TestPasswordOfLinkIsNotKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := browser.Start(t).Open(t, browser.Look{})
	tab.Do(chromedp.Navigate(s.URL + "/"))
	fill(tab, `{url: "https://example.com/secret", password: "hush"}`)
	tab.Wait(`document.querySelector("#recent-list li") !== null`)
	kept := browser.Eval[string](tab, `localStorage.getItem("terse.recent")`)
	if slices.ContainsFunc([]string{"example.com/secret", "hush"}, func(s string) bool { return strings.Contains(kept, s) }) {
		t.Errorf("stored %s, want neither the password nor the protected target", kept)
	}
}
