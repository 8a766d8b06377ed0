package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/terse/terse/web"
)

// hostile are texts that try to break out of their place in the markup.
var hostile = []struct{ name, text string }{
	{"element", `<script>alert(1)</script>`},
	{"attribute", `" onmouseover="alert(1)`},
	{"single quote", `' onfocus='alert(1)`},
	{"unquoted", ` onload=alert(1) x=`},
	{"scheme", `javascript:alert(1)`},
	{"scheme in capitals", "JaVa\tScRiPt:alert(1)"},
	{"data", `data:text/html,<script>alert(1)</script>`},
	{"other host", `//evil.example/`},
	{"other host behind a slash", `/evil.example`},
	{"end of a raw element", `</textarea></title></template></style><img src=x onerror=alert(1)>`},
	{"comment", `--><svg onload=alert(1)>`},
	{"template", `{{.}} ${alert(1)}`},
	{"invalid UTF-8", "\xff<script>\x00"},
	{"bidirectional override", "\u202egro.elpmaxe\u2066<b>"},
	{"long", strings.Repeat("<", 128)},
}

// everyPage returns a function for each page that writes it with text in every field.
func everyPage(p *web.Pages, text string) map[string]func(http.ResponseWriter) {
	wrong := map[string]string{"url": text, "alias": text, "title": text, "expires_at": text, "max_clicks": text, "password": text, "tags": text, text: text}
	short := "https://sho.rt/" + text
	result := &web.Result{Code: text, ShortURL: short, URL: text, QRPath: "/api/v1/links/" + text + "/qr", Title: text}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return map[string]func(http.ResponseWriter){
		"form": func(w http.ResponseWriter) {
			p.Home(w, 422, web.Home{URL: text, Alias: text, Title: text, ExpiresAt: text, MaxClicks: text, Errors: wrong, General: text})
		},
		"result": func(w http.ResponseWriter) { p.Home(w, 201, web.Home{Result: result}) },
		"preview": func(w http.ResponseWriter) {
			p.Preview(w, 200, web.Preview{Code: text, ShortURL: short, Title: text, URL: text, CreatedAt: now, ExpiresAt: now})
		},
		"rules": func(w http.ResponseWriter) {
			p.Preview(w, 200, web.Preview{Code: text, ShortURL: short, Title: text, URL: text, Rules: []web.PreviewRule{{When: text, Targets: []web.PreviewTarget{{URL: text, Share: text}}}}})
		},
		"report": func(w http.ResponseWriter) {
			p.Preview(w, 422, web.Preview{Code: text, ShortURL: short, Report: web.Report{
				Reason: text, Comment: text, Email: text, General: text, Open: true,
				Errors: map[string]string{"reason": text, "comment": text, "email": text, text: text},
			}})
		},
		"hidden": func(w http.ResponseWriter) {
			p.Preview(w, 200, web.Preview{Code: text, ShortURL: short, Title: text, URL: text, HiddenReason: web.HiddenByPassword})
		},
		"counted": func(w http.ResponseWriter) {
			p.Preview(w, 200, web.Preview{Code: text, ShortURL: short, Title: text, URL: text, HiddenReason: web.HiddenByMaxClicks})
		},
		"confirm": func(w http.ResponseWriter) {
			p.Confirm(w, 200, web.Confirm{Code: text, URL: text, Limited: true})
		},
		"password": func(w http.ResponseWriter) {
			p.Password(w, 403, web.Password{Code: text, Error: text, RetryAfter: time.Second})
		},
		"statistics": func(w http.ResponseWriter) {
			v := busyStats(web.Subject{Kind: web.SubjectTag, Name: text})
			v.Path, v.Live, v.Today = "/~/s/"+text, "/~/s/"+text+"/total?tz="+text, "2026-11-30"
			v.Range = web.StatsRange{From: text, To: text, Zone: text, Interval: text, Class: text, Limit: text, Compare: text}
			for i := range v.Breakdowns {
				v.Breakdowns[i].Values[0].Name = text
			}
			p.Stats(w, 200, v)
		},
		"statistics with errors": func(w http.ResponseWriter) {
			p.Stats(w, 422, web.Stats{
				Subject: web.Subject{Kind: web.SubjectLink, Name: short}, Path: "/~/s/" + text, Today: text,
				Range:  web.StatsRange{From: text, To: text, Zone: text, Interval: text, Class: text, Limit: text, Compare: text},
				Errors: map[string]string{"from": text, "to": text, "tz": text, "interval": text, "class": text, "limit": text, "compare": text},
			})
		},
		"error": func(w http.ResponseWriter) { p.Error(w, 404, web.Problem{Title: text, Detail: text}) },
	}
}

func TestHostileMarkupIsInert(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", AnonymousCreate: true, MaxURLLen: 8192})
	plain := map[string]string{}
	for name, write := range everyPage(p, "plain") {
		plain[name] = shape(t, render(write))
	}
	for _, attack := range hostile {
		for name, write := range everyPage(p, attack.text) {
			t.Run(name+"/"+attack.name, func(t *testing.T) {
				t.Parallel()
				body := render(write)
				checkMarkup(t, body)
				if got := shape(t, body); got != plain[name] {
					t.Errorf("%q changes the elements of the page:\n%s\nwant\n%s", attack.text, got, plain[name])
				}
			})
		}
	}
}

func TestPagesWithoutForm(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192, Version: `"><script>`})
	body := render(func(w http.ResponseWriter) { p.Home(w, 200, web.Home{}) })
	checkMarkup(t, body)
	if strings.Contains(body, "<form") || !strings.Contains(body, "curl https://sho.rt/api/v1/links") {
		t.Errorf("home page without anonymous creates: want the API example and no form, got\n%s", body)
	}
}

func render(write func(http.ResponseWriter)) string {
	w := httptest.NewRecorder()
	write(w)
	return w.Body.String()
}

// checkMarkup reports inline scripts and styles, which a strict
// Content-Security-Policy would block, and addresses that lead to another place.
func checkMarkup(t *testing.T, body string) {
	t.Helper()
	for n := range parse(t, body).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "style" || (n.Data == "script" && n.FirstChild != nil) {
			t.Errorf("inline <%s>: %v", n.Data, n.Attr)
		}
		for _, attr := range n.Attr {
			if strings.HasPrefix(attr.Key, "on") || attr.Key == "style" {
				t.Errorf("<%s> has %s=%q", n.Data, attr.Key, attr.Val)
			}
			if slices.Contains([]string{"href", "src", "action", "formaction"}, attr.Key) {
				checkAddress(t, n.Data, attr.Key, attr.Val)
			}
		}
	}
}

func checkAddress(t *testing.T, element, key, address string) {
	t.Helper()
	lower := strings.ToLower(strings.TrimSpace(address))
	scheme, _, found := strings.Cut(lower, ":")
	named := found && !strings.ContainsAny(scheme, "/?#")
	if named && scheme != "http" && scheme != "https" {
		t.Errorf("<%s %s=%q> has a scheme other than http and https", element, key, address)
	}
	if strings.HasPrefix(strings.ReplaceAll(lower, `\`, "/"), "//") {
		t.Errorf("<%s %s=%q> leads to another host", element, key, address)
	}
	loads := element == "script" || element == "link" || element == "img"
	if loads && named {
		t.Errorf("<%s %s=%q> loads from another origin", element, key, address)
	}
}

// shape returns the elements and attribute names of a page, without values.
func shape(t *testing.T, body string) string {
	t.Helper()
	var b strings.Builder
	for n := range parse(t, body).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		b.WriteString(n.Data)
		for _, attr := range n.Attr {
			b.WriteString(" " + attr.Key)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func parse(t *testing.T, body string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatalf("parse the page: %v", err)
	}
	return root
}
