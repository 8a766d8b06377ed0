package api_test

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/storetest"
)

// entry is a way to send fields of a link. post returns the status and the fields that the
// answer names.
type entry struct {
	name string
	post func(t *testing.T, s *server, fields map[string]any) (int, string)
}

// entries returns all entries. An input that one entry rejects must be rejected by all.
func entries() []entry {
	return []entry{
		{"create", func(t *testing.T, s *server, fields map[string]any) (int, string) {
			a := s.send(http.MethodPost, "/api/v1/links", fields)
			return a.status, named(a)
		}},
		{"batch", func(t *testing.T, s *server, fields map[string]any) (int, string) {
			a := s.send(http.MethodPost, "/api/v1/links/batch", map[string]any{"links": []any{fields}})
			if a.status != http.StatusOK {
				return a.status, strings.ReplaceAll(named(a), "body.links[0]", "body")
			}
			var got batchJSON
			a.into(&got)
			return got.Results[0].Status, locations(got.Results[0].Error)
		}},
		{"edit", func(t *testing.T, s *server, fields map[string]any) (int, string) {
			owner := s.owner("owner")
			l := s.create(`{"url":"https://example.com"}`, owner...)
			if _, ok := fields["alias"]; ok {
				fields = map[string]any{"url": "https://example.com", "alias": fields["alias"]}
			}
			a := s.send(http.MethodPatch, "/api/v1/links/"+l.Code, fields, owner...)
			if got := s.get("/api/v1/links/"+l.Code, owner...).link(); a.status != http.StatusOK && got.Version != 1 {
				t.Errorf("a rejected edit changed the link: %+v", got)
			}
			return a.status, named(a)
		}},
		{"import", func(t *testing.T, s *server, fields map[string]any) (int, string) {
			l := map[string]any{"code": rand.Text()}
			for name, value := range fields {
				l[importNames[name]] = value
			}
			a := s.send(http.MethodPost, "/api/v1/archive", map[string]any{"links": []any{l}}, s.key("admin", store.ScopeAdmin)...)
			if a.status != http.StatusOK {
				return a.status, strings.ReplaceAll(named(a), "body.links[0]", "body")
			}
			var got batchJSON
			a.into(&got)
			named := locations(got.Results[0].Error)
			for name, imported := range importNames {
				named = strings.ReplaceAll(named, "body."+imported, "body."+name)
			}
			return got.Results[0].Status, named
		}},
		{"form", func(t *testing.T, s *server, fields map[string]any) (int, string) {
			form := url.Values{}
			for name, value := range fields {
				form.Set(name, fmt.Sprint(value))
			}
			a := s.do(http.MethodPost, "/", []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
			return a.status, ""
		}},
	}
}

// importNames maps fields of a create to fields of an import.
var importNames = map[string]string{
	"url": "url", "alias": "code", "title": "title", "password": "password_hash", "max_clicks": "max_clicks",
}

func named(a answer) string {
	if a.status < 400 {
		return ""
	}
	var p problemJSON
	a.into(&p)
	return locations(&p)
}

func locations(p *problemJSON) string {
	if p == nil {
		return ""
	}
	var out []string
	for _, e := range p.Errors {
		out = append(out, e.Location)
	}
	return strings.Join(out, " ")
}

func TestHostileFieldsAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	s := newServer(t, blocking(t, storetest.BlockedHost), func(o *options) { o.BaseURL = "https://" + storetest.OwnHost })
	for _, tt := range storetest.HostileFields() {
		fields := map[string]any{"url": "https://example.com", tt.Field: tt.Value}
		for _, e := range entries() {
			t.Run(tt.Name+"/"+e.name, func(t *testing.T) {
				t.Parallel()
				status, named := e.post(t, s, fields)
				if status != http.StatusUnprocessableEntity || (named != "" && !strings.Contains(named, "body."+tt.Field)) {
					t.Errorf("%s of %.80v = %d naming %q, want 422 naming %s", e.name, fields, status, named, tt.Field)
				}
			})
		}
	}
}

func TestEveryProblemIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := s.send(http.MethodPost, "/api/v1/links", `{"url":"ftp://x","alias":"a/b","title":"a\nb","max_clicks":-1,
		"expires_at":"2001-01-01T00:00:00Z","tags":["ok",""]}`).problem(http.StatusUnprocessableEntity)
	for _, field := range []string{"url", "alias", "title", "max_clicks", "expires_at", "tags[1]"} {
		if !strings.Contains(got, "body."+field) {
			t.Errorf("errors name %q, want %s among them", got, field)
		}
	}
}

func TestStrangeBodies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com"}`, owner...)
	good := `"url":"https://example.com"`
	for _, tt := range []struct{ name, body string }{
		{"empty", ``},
		{"null", `null`},
		{"array", `[]`},
		{"string", `"x"`},
		{"number", `1`},
		{"cut off", `{` + good},
		{"two values", `{` + good + `}{}`},
		{"nul escape", `{"url":"https://example.com/\u0000"}`},
		{"lone surrogate", `{"url":"https://example.com/\ud800"}`},
		{"invalid utf-8", "{\"url\":\"https://example.com/\xff\"}"},
		{"duplicate", `{` + good + `,"url":"https://evil.com"}`},
		{"unknown field", `{` + good + `,"nonsense":1}`},
		{"capitals", `{"URL":"https://example.com","Title":"x"}`},
		{"number for a string", `{"url":1}`},
		{"string for a number", `{` + good + `,"max_clicks":"1"}`},
		{"fraction", `{` + good + `,"max_clicks":1.5}`},
		{"beyond float", `{` + good + `,"max_clicks":1e999}`},
		{"object for a list", `{` + good + `,"tags":{}}`},
		{"number in the list", `{` + good + `,"tags":[1]}`},
		{"null in the list", `{` + good + `,"tags":[null]}`},
		{"unknown status", `{` + good + `,"status":200}`},
		{"unknown forwarding", `{` + good + `,"forward_query":"always"}`},
		{"unknown forwarding of paths", `{` + good + `,"forward_path":"override"}`},
		{"no time", `{` + good + `,"expires_at":"tomorrow"}`},
		{"year 10000", `{` + good + `,"expires_at":"10000-01-01T00:00:00Z"}`},
		{"year 1", `{` + good + `,"starts_at":"0001-01-01T00:00:01Z"}`},
		{"deep", strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000)},
		{"deep arrays", strings.Repeat(`[`, 500000)},
		{"trailing comma", `{` + good + `,}`},
		{"comment", `{` + good + `/* x */}`},
		{"nan", `{` + good + `,"max_clicks":NaN}`},
		{"byte order mark", "\ufeff{" + good + "}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for method, path := range map[string]string{http.MethodPost: "/api/v1/links", http.MethodPatch: "/api/v1/links/" + l.Code} {
				a := s.send(method, path, tt.body, owner...)
				if a.status != http.StatusBadRequest && a.status != http.StatusUnprocessableEntity {
					t.Errorf("%s %.60q = %d %.200s, want 400 or 422", method, tt.body, a.status, a.body)
				}
			}
			a := s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[`+tt.body+`]}`)
			refused(t, "batch", tt.body, &a)
			archived := strings.Replace(tt.body, `"url"`, `"code":"strange","url"`, 1)
			a = s.send(http.MethodPost, "/api/v1/archive", `{"links":[`+archived+`]}`, admin...)
			refused(t, "import", tt.body, &a)
			for _, path := range []string{"/api/v1/links/" + l.Code + "/disable", "/api/v1/links/" + l.Code + "/rollback", "/api/v1/blocklist"} {
				a := s.send(http.MethodPost, path, tt.body, admin...)
				if a.status != http.StatusBadRequest && a.status != http.StatusUnprocessableEntity {
					t.Errorf("POST %s %.60q = %d %.200s, want 400 or 422", path, tt.body, a.status, a.body)
				}
			}
		})
	}
}

// refused checks that a batch with one item was rejected: the whole batch or its item.
func refused(t *testing.T, what, body string, a *answer) {
	t.Helper()
	status := a.status
	if status == http.StatusOK {
		var got batchJSON
		a.into(&got)
		status = got.Results[0].Status
	}
	if status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		t.Errorf("%s of %.60q = %d %.200s, want it rejected", what, body, a.status, a.body)
	}
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	pad := func(n int) string { return `{"url":"https://example.com"` + strings.Repeat(" ", n-29) + `}` }
	if a := s.send(http.MethodPost, "/api/v1/links", pad(1<<20)); a.status != http.StatusCreated {
		t.Errorf("body of 1 MiB = %d %s, want 201", a.status, a.body)
	}
	admin := s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com"}`, admin...)
	link := "/api/v1/links/" + l.Code
	for method, paths := range map[string][]string{
		http.MethodPatch: {link},
		http.MethodPost: {
			"/api/v1/links", "/api/v1/links/batch", link + "/disable", link + "/enable", link + "/rollback",
			"/api/v1/archive", "/api/v1/blocklist", "/api/v1/reports/x/resolve",
		},
	} {
		for _, path := range paths {
			s.send(method, path, pad(1<<20+1), admin...).problem(http.StatusRequestEntityTooLarge)
		}
	}
	if a := s.do(http.MethodPost, "/", []byte("url="+strings.Repeat("a", 2<<20)), "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("form of 2 MiB = %d, want 413", a.status)
	}
	if a := s.do(http.MethodPost, "/abc", []byte("password="+strings.Repeat("a", 2<<20)), "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("password form of 2 MiB = %d, want 413", a.status)
	}
	if a := s.do(http.MethodPost, "/api/v1/links", []byte(`{"url":"https://example.com"}`), "Content-Type", "Application/JSON; Charset=utf-8"); a.status != http.StatusCreated {
		t.Errorf("media type in capitals = %d %s, want 201", a.status, a.body)
	}
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`, "Content-Encoding", "gzip").problem(http.StatusUnsupportedMediaType)
	if a := s.do(http.MethodPost, "/"+l.Code+"+", []byte("reason=spam&comment="+strings.Repeat("a", 2<<20)), "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("report of 2 MiB = %d, want 413", a.status)
	}
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data"} {
		s.do(http.MethodPost, "/api/v1/links", []byte(`{"url":"https://example.com"}`), "Content-Type", contentType).problem(http.StatusUnsupportedMediaType)
	}
}

// TestBrokenChunks sends malformed requests that no HTTP client sends.
func TestBrokenChunks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, raw := range []string{
		"POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST /abc HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nurl=%zz",
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		must(t, err)
		_, err = io.WriteString(conn, raw)
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		must(t, response.Body.Close())
		if response.StatusCode < 400 || response.StatusCode > 499 {
			t.Errorf("answer to %q = %d, want 4xx", raw, response.StatusCode)
		}
		must(t, conn.Close())
	}
}

// TestSeriesDoNotGrow checks that requests with new methods, paths and headers create no new
// metric series.
func TestSeriesDoNotGrow(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.Unknown = limit(t, "40/20s") })
	l := s.create(`{"url":"https://example.com"}`)
	storm := func(round int) {
		for i := range max(30, testenv.Rounds(100)) {
			n := fmt.Sprintf("%d-%d", round, i)
			s.do("METHOD"+strings.ReplaceAll(n, "-", ""), "/"+l.Code, nil)
			s.do("METHOD"+strings.ReplaceAll(n, "-", ""), "/api/v1/links", nil)
			s.get("/path-" + n)
			s.get("/path/" + n + "/x")
			s.get("/api/" + n)
			s.get("/api/v1/links/" + n)
			s.get("/"+l.Code, "Host", "host-"+n+".example")
			s.get("/static/" + n)
			s.get("/"+l.Code+"?"+n, "User-Agent", n, "Referer", "https://"+n+".example", "X-Forwarded-For", "203.0.113."+n)
		}
	}
	storm(0)
	before, err := testutil.GatherAndCount(s.registry)
	must(t, err)
	storm(1)
	after, err := testutil.GatherAndCount(s.registry)
	must(t, err)
	if before != after {
		t.Errorf("series = %d after requests with other values, %d before", after, before)
	}
	if problems, err := testutil.GatherAndLint(s.registry); err != nil || len(problems) > 0 {
		t.Errorf("metric names: %v %v", problems, err)
	}
}

func TestMarkupIsInert(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const markup = `<script>alert(1)</script>" onmouseover="alert(2)`
	l := s.create(map[string]any{"url": "https://example.com/?q=" + markup, "title": markup, "tags": []string{markup[:40]}})
	pages := []answer{
		s.get("/"+l.Code+"+", "Accept", "text/html"),
		s.get("/"+url.PathEscape(markup), "Accept", "text/html"),
		s.do(http.MethodPost, "/", []byte(url.Values{"url": {markup}, "alias": {markup}, "title": {markup}}.Encode()),
			"Content-Type", "application/x-www-form-urlencoded", "Referer", markup, "User-Agent", markup),
	}
	for i, a := range pages {
		body := string(a.body)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, `" onmouseover="`) {
			t.Errorf("page %d contains active markup: %s", i, body)
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("page %d has the policy %q", i, csp)
		}
	}
}

// FuzzCreateBody checks that no body causes a 5xx of a create, an edit or a batch. Every
// accepted link must redirect to an http or https URL.
func FuzzCreateBody(f *testing.F) {
	for _, seed := range []string{
		`{"url":"https://example.com"}`, `{"url":"https://example.com","alias":"a","tags":["x"],"expires_at":"2030-01-01T00:00:00Z"}`,
		`{"url":"\u0000"}`, `{"url":null}`, `[]`, `{"url":"https://x","max_clicks":1e3}`, `{"url":"https://x","password":""}`,
	} {
		f.Add(seed)
	}
	s := newServer(f)
	owner := s.owner("owner")
	edited := s.create(`{"url":"https://example.com"}`, owner...)
	f.Fuzz(func(t *testing.T, body string) {
		for _, a := range []answer{
			s.in(t).send(http.MethodPatch, "/api/v1/links/"+edited.Code, body, owner...),
			s.in(t).send(http.MethodPost, "/api/v1/links/batch", `{"links":[`+body+`]}`),
		} {
			if a.status >= 500 {
				t.Errorf("edit or batch of %q = %d %s, want no 5xx", body, a.status, a.body)
			}
		}
		a := s.in(t).send(http.MethodPost, "/api/v1/links", body)
		switch {
		case a.status == http.StatusCreated:
			l := a.link()
			u, err := url.Parse(l.URL)
			if err == nil && u.Scheme != "http" && u.Scheme != "https" {
				t.Errorf("create(%q) = %s, want an http target", body, a.body)
			}
		case a.status < 400 || a.status > 499:
			t.Errorf("create(%q) = %d %s, want 201 or 4xx", body, a.status, a.body)
		}
	})
}
