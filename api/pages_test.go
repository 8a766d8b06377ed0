package api_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

func contains(body []byte, text string) bool { return bytes.Contains(body, []byte(text)) }

// post sends the form of the home page.
func (s *server) post(fields url.Values, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, "/", []byte(fields.Encode()), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

func TestHome(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := s.do(method, "/", nil)
		if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s / = %d %s, want 200 text/html", method, a.status, a.header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"/favicon.ico", "/robots.txt"} {
		if a := s.get(path); a.status != http.StatusOK || len(a.body) == 0 {
			t.Errorf("GET %s = %d with %d bytes, want 200", path, a.status, len(a.body))
		}
	}
	for method, path := range map[string]string{http.MethodPut: "/abc", http.MethodDelete: "/"} {
		if a := s.do(method, path, nil); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
			t.Errorf("%s %s = %d, Allow %q, want 405 with one", method, path, a.status, a.header.Get("Allow"))
		}
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(`{"url":"https://example.com","alias":"taken"}`)
	a := s.post(url.Values{
		"url": {"https://example.com/form"}, "alias": {"mine"}, "title": {"A title"},
		"expires_at": {"2026-07-01T10:30"}, "max_clicks": {"5"}, "password": {""},
	})
	if got := a.header.Get("Location"); a.status != http.StatusSeeOther || got != "/?created=mine" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("form = %d to %q, want 303 to the result, not cached", a.status, got)
	}
	if got := s.get("/mine").header.Get("Location"); got != "https://example.com/form" {
		t.Errorf("Location = %q, want what the form said", got)
	}
	for body, want := range map[string]int{"url=%zz": http.StatusBadRequest, "url=a;b": http.StatusBadRequest} {
		if a := s.do(http.MethodPost, "/", []byte(body), "Content-Type", "application/x-www-form-urlencoded"); a.status != want {
			t.Errorf("form %q = %d, want %d", body, a.status, want)
		}
	}
	if a := s.do(http.MethodPost, "/", []byte("url=x"), "Content-Type", "text/plain"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("form as text = %d, want 415", a.status)
	}
	for name, tt := range map[string]struct {
		fields  url.Values
		headers []string
		status  int
		says    string
	}{
		"taken":        {url.Values{"url": {"https://example.com/kept"}, "alias": {"taken"}}, nil, 409, "https://example.com/kept"},
		"no date":      {url.Values{"url": {"https://example.com"}, "expires_at": {"tomorrow"}}, nil, 422, "must be a date"},
		"empty":        {url.Values{"url": {""}}, nil, 422, "must not be empty"},
		"space":        {url.Values{"url": {"  "}}, nil, 422, "must not be empty"},
		"no number":    {url.Values{"url": {"https://example.com"}, "max_clicks": {"many"}}, nil, 422, "must be a whole number"},
		"past":         {url.Values{"url": {"https://example.com"}, "expires_at": {"2001-01-01T00:00"}}, nil, 422, "must be in the future"},
		"another site": {url.Values{"url": {"https://example.com"}}, []string{"Origin", "https://evil.example"}, 403, "another website"},
	} {
		if a := s.post(tt.fields, append(tt.headers, "Accept", "text/html")...); a.status != tt.status || !contains(a.body, tt.says) {
			t.Errorf("%s = %d, want %d and a page that says %q", name, a.status, tt.status, tt.says)
		}
	}
}

// TestFormNamesAllWrongFields checks that the page names wrong fields of every kind.
func TestFormNamesAllWrongFields(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.post(url.Values{
		"url": {"ftp://example.com"}, "alias": {"a b"}, "title": {strings.Repeat("a", 501)},
		"expires_at": {"tomorrow"}, "max_clicks": {"many"}, "password": {strings.Repeat("p", 73)},
	}, "Accept", "text/html")
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("form = %d, want 422", a.status)
	}
	for _, want := range []string{
		"must begin with http:// or https://", "each a letter A to Z, a digit", "must be at most 500 characters", "must be a date and a time",
		"must be a whole number", "must have 1 to 72 bytes",
	} {
		if !contains(a.body, want) {
			t.Errorf("the page lacks %q: %s", want, a.body)
		}
	}
}

// TestFormResult follows the redirect of the form. Everybody can request the page of any link, so
// it shows no more of the target than the preview.
func TestFormResult(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, tt := range map[string]struct {
		fields         url.Values
		shows, conceal []string
	}{
		"plain": {url.Values{}, []string{"https://example.com/target"}, nil},
		"settings": {
			url.Values{"title": {"A title"}, "expires_at": {"2026-07-01T10:30"}},
			[]string{"https://example.com/target", ">A title</dd>", ">1 July 2026, 10:30 UTC</dd>"},
			nil,
		},
		"limited": {url.Values{"title": {"A title"}, "max_clicks": {" 5 "}}, []string{">example.com<", ">A title</dd>", ">5</dd>"}, []string{"example.com/target"}},
		"password": {
			url.Values{"title": {"A title"}, "password": {"open sesame"}},
			[]string{">example.com<", ">Required</dd>"},
			[]string{"example.com/target", "A title", "sesame"},
		},
	} {
		tt.fields.Set("url", "https://example.com/target")
		at := s.post(tt.fields, "Accept", "text/html").header.Get("Location")
		code, ok := strings.CutPrefix(at, "/?created=")
		if !ok || strings.Contains(at, "sesame") {
			t.Errorf("%s: the form leads to %q, want the code alone", name, at)
			continue
		}
		a := s.get(at, "Accept", "text/html")
		if a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Robots-Tag") != "noindex" {
			t.Errorf("%s: the result = %d %v, want 200, not cached and not listed", name, a.status, a.header)
		}
		for _, want := range append(tt.shows, baseURL+"/"+code, "/api/v1/links/"+code+"/qr") {
			if !contains(a.body, want) {
				t.Errorf("%s: the result lacks %q: %s", name, want, a.body)
			}
		}
		for _, secret := range tt.conceal {
			if contains(a.body, secret) {
				t.Errorf("%s: the result shows %q: %s", name, secret, a.body)
			}
		}
	}
	for query, want := range map[string]int{"created=": 200, "created=unknown": 404, "created=%2F%2Fevil.example": 404, "created=<script>": 404, "other=1": 200} {
		if a := s.get("/?"+query, "Accept", "text/html"); a.status != want || contains(a.body, `data-part="short" href="`+baseURL) {
			t.Errorf("GET /?%s = %d, want %d without a result", query, a.status, want)
		}
	}
}

// TestFormResultOfEndedLink checks that the result of a link that no longer works is an error, as a
// visit is.
func TestFormResultOfEndedLink(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://example.com/target"}`)
	a := s.send(http.MethodPost, "/api/v1/links/"+l.Code+"/disable", `{"reason":"phishing"}`, s.key("admin", store.ScopeAdmin)...)
	if a.status >= 300 {
		t.Fatalf("disable = %d: %s", a.status, a.body)
	}
	if a := s.get("/?created="+l.Code, "Accept", "text/html"); a.status != http.StatusUnavailableForLegalReasons || contains(a.body, "example.com/target") {
		t.Errorf("the result of a disabled link = %d, want 451 without the target: %s", a.status, a.body)
	}
}

func TestFormIsLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.CreateAnonymous = limit(t, "1/1m") })
	s.post(url.Values{"url": {"https://example.com"}})
	a := s.post(url.Values{"url": {"https://example.com/kept"}})
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "60" || !contains(a.body, "https://example.com/kept") {
		t.Errorf("second form = %d, Retry-After %q, want 429, 60 and what was typed", a.status, a.header.Get("Retry-After"))
	}
}

func TestFormWithoutAnonymousCreate(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.AnonymousCreate = false })
	if a := s.get("/"); a.status != http.StatusOK || contains(a.body, `name="url"`) {
		t.Errorf("home = %d, want a page without the form", a.status)
	}
	if a := s.post(url.Values{"url": {"https://example.com"}}); a.status != http.StatusUnauthorized {
		t.Errorf("form = %d, want 401", a.status)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	plain := s.create(`{"url":"https://example.com/target","title":"The title"}`)
	limited := s.create(`{"url":"https://example.com/target","max_clicks":1}`)
	secret := s.create(`{"url":"https://example.com/target","title":"The title","password":"open sesame"}`)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := s.do(method, "/"+plain.Code+"+", nil)
		if a.status != http.StatusOK || a.header.Get("Location") != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s preview = %d %v, want 200, no Location, no-store", method, a.status, a.header)
		}
	}
	if a := s.get("/" + plain.Code + "+"); !contains(a.body, "https://example.com/target") || !contains(a.body, "The title") {
		t.Errorf("preview does not show the target and the title: %s", a.body)
	}
	if a := s.get("/" + secret.Code + "+"); a.status != http.StatusOK || contains(a.body, "example.com/target") || contains(a.body, "The title") {
		t.Errorf("preview of a link with a password = %d, want 200 without the target and the title: %s", a.status, a.body)
	}
	if a := s.get("/" + limited.Code + "+"); a.status != http.StatusOK || contains(a.body, "example.com/target") {
		t.Errorf("preview of a limited link = %d, want 200 without the target", a.status)
	}
	for _, code := range []string{secret.Code, limited.Code} { // its title may lie
		if a := s.get("/" + code + "+"); !contains(a.body, "example.com") {
			t.Errorf("preview of a limited link does not show the host of its target: %s", a.body)
		}
	}
	if a := s.get("/" + limited.Code); a.status != http.StatusFound {
		t.Errorf("a limited link after its preview = %d, want its use left", a.status)
	}
}

// TestEverythingServedIsReserved checks that no path of another route can be an alias.
func TestEverythingServedIsReserved(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	firsts := map[string]bool{".well-known": true}
	for _, route := range s.Config.Handler.(*api.API).Routes() {
		_, path, _ := strings.Cut(route, " /")
		if first, _, _ := strings.Cut(path, "/"); first != "" && first != ":code" {
			firsts[first] = true
		}
	}
	if len(firsts) < 5 {
		t.Fatalf("the routes begin only with %v", firsts)
	}
	for first := range firsts {
		for _, alias := range []string{first, strings.ToUpper(first)} {
			for _, e := range entries() {
				status, named := e.post(t, s, map[string]any{"url": "https://example.com", "alias": alias})
				if status != http.StatusUnprocessableEntity || e.name != "form" && named != "body.alias" {
					t.Errorf("%s of the alias %q = %d naming %q, want 422 naming body.alias", e.name, alias, status, named)
				}
			}
		}
	}
}

func TestPunycodeBase(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.BaseURL = "https://bücher.example" })
	a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`)
	if want := "https://xn--bcher-kva.example/" + a.link().Code; a.header.Get("Location") != want || a.link().ShortURL != want {
		t.Errorf("short URL = %q, Location %q, want %q", a.link().ShortURL, a.header.Get("Location"), want)
	}
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://BÜCHER.example/x"}`).problem(http.StatusUnprocessableEntity)
}
