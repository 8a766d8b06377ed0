package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/web"
)

func TestErrorWords(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", AnonymousCreate: true, MaxURLLen: 8192})
	tests := []struct {
		name    string
		status  int
		problem web.Problem
		want    []string
	}{
		{"unknown link", 404, web.Problem{}, []string{"Error 404", "Nothing here", "There is no such link.", "Shorten a link"}},
		{"gone link", 410, web.Problem{}, []string{"Error 410", "Gone", "has reached its click limit, or was deleted", "Ask the sender for a new link"}},
		{"gone link with its reason", 410, web.Problem{Detail: "This link has expired."}, []string{"<p class=\"lead\">This link has expired.</p>"}},
		{"abuse", 451, web.Problem{}, []string{"Error 451", "Blocked", "This link was disabled.", "from abuse"}},
		{"limit", 429, web.Problem{RetryAfter: 1100 * time.Millisecond}, []string{"Slow down", "Try again in 2 seconds.", "Try again</a>"}},
		{"limit for minutes", 429, web.Problem{RetryAfter: 121 * time.Second}, []string{"Try again in 3 minutes."}},
		{"limit for hours", 429, web.Problem{RetryAfter: 5 * time.Hour}, []string{"Try again in 5 hours."}},
		{"limit for a moment", 429, web.Problem{RetryAfter: time.Millisecond}, []string{"Try again in 1 second."}},
		{"bug", 500, web.Problem{}, []string{"Our fault", "Something went wrong on our side.", "Try again</a>"}},
		{"unreachable store", 503, web.Problem{}, []string{"Back soon", "Your link is safe", "Try again</a>"}},
		{"unknown host", 421, web.Problem{}, []string{"Error 421", "Not here", "No short links are served under this host."}},
		{"any other", 418, web.Problem{}, []string{"Error 418", "teapot", "Start again from the home page."}},
		{"status without a name", 599, web.Problem{}, []string{"Error 599", "No answer"}},
		{"own title and status", 500, web.Problem{Status: 502, Title: "Lost"}, []string{"Error 502", "Lost", "<title>Lost · Terse</title>"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := render(func(w http.ResponseWriter) { p.Error(w, test.status, test.problem) })
			for _, want := range test.want {
				if !strings.Contains(body, want) {
					t.Errorf("Error(%d, %+v) lacks %q:\n%s", test.status, test.problem, want, body)
				}
			}
		})
	}
}

func TestSiteNameAndContact(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ contact, link string }{
		{"mailto:help@acme.example", `<a href="mailto:help@acme.example">help@acme.example</a>`},
		{"https://acme.example/help", `<a href="https://acme.example/help">acme.example/help</a>`},
	} {
		p := newPages(t, web.Options{BaseURL: "https://sho.rt", AnonymousCreate: true, MaxURLLen: 8192, Name: "Acme & Co", Contact: test.contact})
		for name, write := range everyPage(p, "text") {
			body := render(write)
			for _, want := range []string{"Acme &amp; Co</title>", "Acme &amp; Co</span>", "Contact: " + test.link} {
				if !strings.Contains(body, want) && (name != "form" && name != "result" || !strings.HasSuffix(want, "</title>")) {
					t.Errorf("%s lacks %q:\n%s", name, want, body)
				}
			}
		}
		for status, want := range map[int]string{404: "If this link should work, contact " + test.link + ".", 451: "You reach the owner at " + test.link + "."} {
			if body := render(func(w http.ResponseWriter) { p.Error(w, status, web.Problem{}) }); !strings.Contains(body, want) {
				t.Errorf("the page of a %d lacks %q:\n%s", status, want, body)
			}
		}
		if body := render(func(w http.ResponseWriter) { p.Home(w, 200, web.Home{}) }); !strings.Contains(body, "<title>Acme &amp; Co: long links, cut short</title>") {
			t.Errorf("the title of the home page lacks the name of the site:\n%s", body)
		}
	}
	nobody := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	if body := render(func(w http.ResponseWriter) { nobody.Error(w, 451, web.Problem{}) }); strings.Contains(body, "Contact") || strings.Contains(body, "You reach") {
		t.Errorf("a page without a contact mentions one:\n%s", body)
	}
}

func TestPreviewWords(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	// The page shows a time of another zone in UTC.
	at := time.Date(2026, 3, 14, 23, 30, 0, 0, time.FixedZone("", -2*3600))
	tests := []struct {
		name         string
		preview      web.Preview
		want, absent []string
	}{
		{
			"target",
			web.Preview{Code: "abc", URL: "https://example.com:8443/x?a=1&b=2", CreatedAt: at},
			[]string{">example.com:8443</span>", "https://example.com:8443/x?a=1&amp;b=2</p>", "Continue</a>", "15 March 2026, 01:30 UTC", "<dd>Never</dd>"},
			[]string{`href="/abc"`},
		},
		{
			"rules",
			web.Preview{Code: "abc", URL: "https://example.com/rest", Rules: []web.PreviewRule{
				{When: "the device is ios", Targets: []web.PreviewTarget{{URL: "https://example.com/app?a=1&b=2"}}},
				{When: "the country is DE", Targets: []web.PreviewTarget{{URL: "https://example.com/a", Share: "70 %"}, {URL: "https://example.com/b", Share: "30 %"}}},
			}},
			[]string{
				"Leads to several addresses", "<dt>If the device is ios</dt>", ">https://example.com/app?a=1&amp;b=2</dd>", ">70 %: https://example.com/a</dd>",
				"<dt>All other visits</dt><dd class=\"url\">https://example.com/rest</dd>", `href="/abc"`,
			},
			[]string{`href="https://example.com`},
		},
		{
			"rule for all visits",
			web.Preview{URL: "https://example.com/rest", Rules: []web.PreviewRule{{Targets: []web.PreviewTarget{{URL: "https://example.com/app"}}}}},
			[]string{"<dt>All other visits</dt><dd class=\"url\">https://example.com/app</dd>"},
			[]string{"https://example.com/rest"},
		},
		{
			"rules behind a password",
			web.Preview{Code: "abc", URL: "https://example.com/rest", HiddenReason: web.HiddenByPassword, Rules: []web.PreviewRule{{Targets: []web.PreviewTarget{{URL: "https://example.com/app"}}}}},
			[]string{"Leads to several addresses", "only with the password"},
			[]string{"example.com/"},
		},
		{
			"expiry",
			web.Preview{URL: "https://example.com", ExpiresAt: at},
			[]string{`<time datetime="2026-03-15T01:30:00Z">15 March 2026, 01:30 UTC</time>`},
			[]string{"Never", "Made"},
		},
		{
			"password",
			web.Preview{Code: "abc", URL: "https://example.com/x?a=1", HiddenReason: web.HiddenByPassword},
			[]string{">example.com</span>", "only with the password", `href="/abc"`, "Enter the password"},
			[]string{"Continue", "/x?a", "<form method=\"post\" id=\"open\""},
		},
		{
			"counted",
			web.Preview{Code: "abc", URL: "https://example.com/x?a=1", HiddenReason: web.HiddenByMaxClicks},
			[]string{">example.com</span>", "limited number of clicks", `action="/abc"`, "Use one click"},
			[]string{"Continue", "/x?a", `href="/abc"`},
		},
		{
			"target that no browser opens",
			web.Preview{URL: "ftp://example.com/"},
			[]string{"an unusual address", "ftp://example.com/</p>"},
			[]string{"Continue", `href="ftp`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := render(func(w http.ResponseWriter) { p.Preview(w, 200, test.preview) })
			for _, want := range test.want {
				if !strings.Contains(body, want) {
					t.Errorf("Preview(%+v) lacks %q:\n%s", test.preview, want, body)
				}
			}
			for _, absent := range test.absent {
				if strings.Contains(body, absent) {
					t.Errorf("Preview(%+v) has %q:\n%s", test.preview, absent, body)
				}
			}
		})
	}
}
