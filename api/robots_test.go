package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

const (
	chromium = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	slackbot = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
)

// TestRobotsUseNoClicks checks that programs that open links by themselves get the preview of a
// link with a click limit, and that the click is left for a person.
func TestRobotsUseNoClicks(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.CDN = true })
	owner := s.owner("owner")
	for _, fields := range []string{`,"max_clicks":1`, `,"max_clicks":1,"confirm":true`, `,"confirm":true`} {
		l := s.create(`{"url":"https://target.example/path","title":"A title"`+fields+`}`, owner...)
		for _, robot := range []string{
			slackbot, "WhatsApp/2.23.20.0", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "Twitterbot/1.0",
			"Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "TelegramBot (like TwitterBot)",
			"Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
			"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "SomeApp/1.0 CFNetwork/1568 Darwin/24.0.0",
		} {
			a := s.get("/"+l.Code, "User-Agent", robot)
			if a.status != http.StatusOK || a.header.Get("Location") != "" || !contains(a.body, "target.example") || !contains(a.body, "A title") {
				t.Errorf("%s%s = %d with Location %q, want 200 with the preview:\n%s", robot, fields, a.status, a.header.Get("Location"), a.body)
			}
			if browser, cdn := a.header.Get("Cache-Control"), a.header.Get("Cdn-Cache-Control"); browser != "no-store" || cdn != "no-store" {
				t.Errorf("%s%s: Cache-Control %q and CDN-Cache-Control %q, want no-store", robot, fields, browser, cdn)
			}
		}
		for _, purpose := range [][]string{
			{"Sec-Purpose", "prefetch"},
			{"Sec-Purpose", "prefetch;prerender"},
			{"Purpose", "prefetch"},
			{"Purpose", "preview"},
			{"X-Purpose", "preview"},
			{"X-Moz", "prefetch"},
		} {
			if a := s.get("/"+l.Code, append(purpose, "User-Agent", chromium)...); a.header.Get("Location") != "" {
				t.Errorf("%q%s = %d to %q, want no target", purpose, fields, a.status, a.header.Get("Location"))
			}
		}
		if a := s.do(http.MethodHead, "/"+l.Code, nil, "User-Agent", chromium); a.header.Get("Location") != "" || a.status >= 400 {
			t.Errorf("HEAD%s = %d to %q, want no target", fields, a.status, a.header.Get("Location"))
		}
		must(t, s.clicks.Flush(t.Context()))
		if got := s.get("/api/v1/links/"+l.Code, owner...).link(); got.UsedClicks != 0 || got.Clicks != 0 {
			t.Errorf("robots used %d of the clicks%s and made %d, want 0", got.UsedClicks, fields, got.Clicks)
		}
		method := http.MethodGet
		if strings.Contains(fields, "confirm") {
			method = http.MethodPost
		}
		if a := s.do(method, "/"+l.Code, nil, "User-Agent", chromium); a.header.Get("Location") != "https://target.example/path" {
			t.Errorf("a person's %s%s = %d to %q, want the target", method, fields, a.status, a.header.Get("Location"))
		}
		if strings.Contains(fields, "max_clicks") {
			for _, ua := range []string{slackbot, chromium} {
				s.get("/"+l.Code, "User-Agent", ua).problem(http.StatusGone)
			}
		}
	}
}

// TestRobotsFollowOtherLinks checks that links without a limit redirect robots.
func TestRobotsFollowOtherLinks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://target.example/"}`)
	if a := s.get("/"+l.Code, "User-Agent", slackbot); a.status != http.StatusFound {
		t.Errorf("a robot's visit = %d, want 302", a.status)
	}
}

// TestPersonTakenForARobot checks that the form of the preview leads to the target.
func TestPersonTakenForARobot(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://target.example/","max_clicks":1}`)
	const unknown = "UnknownBrowser/1.0"
	if a := s.get("/"+l.Code, "User-Agent", unknown); a.status != http.StatusOK || !contains(a.body, `<form method="post" id="open" action="/`+l.Code+`">`) {
		t.Errorf("a visit by %s = %d, want a preview with a form:\n%s", unknown, a.status, a.body)
	}
	a := s.do(http.MethodPost, "/"+l.Code, nil, "User-Agent", unknown, "Content-Type", "application/x-www-form-urlencoded")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "https://target.example/" {
		t.Errorf("its form = %d to %q, want 303 to the target", a.status, a.header.Get("Location"))
	}
	s.do(http.MethodPost, "/"+l.Code, nil).problem(http.StatusGone)
}

// TestConfirm checks a link with confirm: visitors have to press Continue.
func TestConfirm(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	l := s.create(`{"url":"https://target.example/path?a=1","title":"My bank","confirm":true,"max_clicks":2,"status":308,"forward_query":"append"}`, owner...)
	if !l.Confirm {
		t.Error("confirm = false, want true")
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := s.do(method, "/"+l.Code, nil, "User-Agent", chromium)
		if a.status != http.StatusOK || a.header.Get("Location") != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s = %d %v, want 200 that is not cached", method, a.status, a.header)
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: Content-Security-Policy = %q", method, policy)
		}
		if method == http.MethodGet && (!contains(a.body, "target.example") || !contains(a.body, "Continue") || contains(a.body, "path?a") || contains(a.body, "My bank")) {
			t.Errorf("page = %s, want the host and Continue, without the whole target and the title", a.body)
		}
	}
	form := []string{"User-Agent", chromium, "Content-Type", "application/x-www-form-urlencoded"}
	if a := s.do(http.MethodPost, "/"+l.Code, nil, append(form, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")...); a.status != http.StatusForbidden {
		t.Errorf("Continue on another site = %d, want 403", a.status)
	}
	for range 2 {
		a := s.do(http.MethodPost, "/"+l.Code+"?b=2", nil, form...)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "https://target.example/path?a=1&b=2" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("Continue = %d %v, want 303 to the target", a.status, a.header)
		}
	}
	s.do(http.MethodPost, "/"+l.Code, nil, form...).problem(http.StatusGone)
	s.get("/"+l.Code, "User-Agent", chromium).problem(http.StatusGone)
	must(t, s.clicks.Flush(t.Context()))
	if got := s.get("/api/v1/links/"+l.Code, owner...).link(); got.UsedClicks != 2 || got.Clicks != 2 {
		t.Errorf("used_clicks = %d, clicks = %d, want 2", got.UsedClicks, got.Clicks)
	}
}

// TestConfirmIsEdited checks that confirm is a setting like others.
func TestConfirmIsEdited(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://target.example/"}`, owner...)
	path := "/api/v1/links/" + l.Code
	visit := func() int { return s.get("/"+l.Code, "User-Agent", chromium).status }
	for _, step := range []struct {
		body    string
		confirm bool
		visit   int
	}{
		{`{"confirm":true}`, true, http.StatusOK},
		{`{"title":"x"}`, true, http.StatusOK},
		{`{"confirm":null}`, false, http.StatusFound},
		{`{"confirm":true,"status":301}`, true, http.StatusOK},
		{`{"confirm":false}`, false, http.StatusMovedPermanently},
	} {
		if got := s.send(http.MethodPatch, path, step.body, owner...).link().Confirm; got != step.confirm {
			t.Errorf("confirm after %s = %v, want %v", step.body, got, step.confirm)
		}
		if got := visit(); got != step.visit {
			t.Errorf("visit after %s = %d, want %d", step.body, got, step.visit)
		}
	}
	if a := s.get(path+"/history", owner...); !contains(a.body, `{"field":"confirm","before":true,"after":null}`) {
		t.Errorf("history = %s, want changes of confirm", a.body)
	}
	var batch batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[{"url":"https://target.example/","confirm":true}]}`, owner...).into(&batch)
	if len(batch.Results) != 1 || batch.Results[0].Link == nil || !batch.Results[0].Link.Confirm {
		t.Errorf("batch = %+v, want a link with confirm", batch)
	}
	s.send(http.MethodPost, "/api/v1/archive", `{"links":[{"code":"old","url":"https://target.example/","confirm":true}]}`, admin...)
	if a := s.get("/old", "User-Agent", chromium); a.status != http.StatusOK {
		t.Errorf("visit of an imported link = %d, want 200", a.status)
	}
	if a := s.get("/api/v1/archive", admin...); !contains(a.body, `"confirm":true`) {
		t.Errorf("export = %s, want confirm", a.body)
	}
	s.send(http.MethodPatch, path, `{"confirm":"yes"}`, owner...).problem(http.StatusUnprocessableEntity)
}

// TestFormWorksOnce checks that the form sets confirm for a link that works once.
func TestFormWorksOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for clicks, want := range map[string]bool{"1": true, "2": false, "": false} {
		alias := "works" + clicks
		if a := s.post(url.Values{"url": {"https://target.example/"}, "alias": {alias}, "max_clicks": {clicks}}); a.status != http.StatusSeeOther {
			t.Fatalf("form = %d %s, want 303", a.status, a.body)
		}
		l, err := s.store.Get(t.Context(), alias)
		must(t, err)
		if l.Confirm != want {
			t.Errorf("confirm with a click limit of %q = %v, want %v", clicks, l.Confirm, want)
		}
	}
}

// TestAliasEnds checks that no alias ends with what visits ignore.
func TestAliasEnds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, e := range entries() {
		if e.name == "import" {
			continue // it takes the codes of existing links
		}
		status, location := e.post(t, s, map[string]any{"url": "https://example.com", "alias": "spring_"})
		if status != http.StatusUnprocessableEntity || e.name != "form" && location != "body.alias" {
			t.Errorf("%s of spring_ = %d naming %q, want 422 naming body.alias", e.name, status, location)
		}
	}
}

// TestQROfATakenDownLink checks that caches store no QR code of a link that was taken down.
func TestQROfATakenDownLink(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com"}`, owner...)
	path := "/api/v1/links/" + l.Code
	public, private := s.get(path+"/qr"), s.get(path+"/qr", owner...)
	if got := public.header.Get("Cache-Control"); got != "public, max-age=86400" || public.header.Get("Surrogate-Key") != "link-"+l.Code {
		t.Errorf("Cache-Control = %q, Surrogate-Key = %q, want a day and the link", got, public.header.Get("Surrogate-Key"))
	}
	if got := private.header.Get("Cache-Control"); got != "private, max-age=86400" {
		t.Errorf("Cache-Control with a key = %q, want private", got)
	}
	if a := s.send(http.MethodPost, path+"/disable", `{"reason":"phishing"}`, admin...); a.status != http.StatusOK {
		t.Fatalf("disable = %d, want 200", a.status)
	}
	for _, headers := range [][]string{nil, owner, admin} {
		for _, format := range []string{"svg", "png"} {
			a := s.get(path+"/qr?format="+format, headers...)
			a.problem(http.StatusUnavailableForLegalReasons)
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control of a link that was taken down = %q, want no-store", got)
			}
		}
	}
}
