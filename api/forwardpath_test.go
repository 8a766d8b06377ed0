package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// request sends a request with exactly the bytes of path.
func (s *server) request(method, path, body string, headers ...string) visited {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if s.host != "" {
		r.Host = s.host
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Config.Handler.ServeHTTP(w, r)
	return visited{w.Code, w.Header()}
}

// visited is an answer without its body.
type visited struct {
	StatusCode int
	Header     http.Header
}

func TestForwardPath(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	paths := s.create(map[string]any{"url": "https://e.com/docs/?v=1#top", "alias": "docs", "forward_path": "append", "forward_query": "append"})
	if paths.ForwardPath != "append" {
		t.Errorf("forward_path = %q, want append", paths.ForwardPath)
	}
	s.create(map[string]any{"url": "https://e.com", "alias": "bare", "forward_path": "append"})
	if off := s.create(map[string]any{"url": "https://e.com/off", "alias": "off"}); off.ForwardPath != "off" {
		t.Errorf("forward_path = %q, want off", off.ForwardPath)
	}
	for path, want := range map[string]string{
		"/docs":                "https://e.com/docs/?v=1#top",
		"/docs/":               "https://e.com/docs/?v=1#top",
		"/docs.":               "https://e.com/docs/?v=1#top",
		"/d%6fcs/a":            "https://e.com/docs/a?v=1#top",
		"/docs/a/b?x=1":        "https://e.com/docs/a/b?v=1&x=1#top",
		"/docs/a/b/":           "https://e.com/docs/a/b/?v=1#top",
		"/docs/!":              "https://e.com/docs/!?v=1#top",
		"/docs/a%2Fb%2e%20":    "https://e.com/docs/a%2Fb%2e%20?v=1#top",
		"/docs/c++":            "https://e.com/docs/c++?v=1#top",
		"/docs/a\\b":           "https://e.com/docs/a%5Cb?v=1#top",
		"/docs//other.example": "https://e.com/docs//other.example?v=1#top",
		"/bare/@other.example": "https://e.com/@other.example",
		"/bare//other.example": "https://e.com//other.example",
		"/bare/a?x=1":          "https://e.com/a",
		"/off/":                "https://e.com/off",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if a := s.request(method, path, ""); a.StatusCode != http.StatusFound || a.Header.Get("Location") != want || a.Header.Get("Cache-Tag") == "" {
				t.Errorf("%s %s = %d to %q with the tag %q, want 302 to %q", method, path, a.StatusCode, a.Header.Get("Location"), a.Header.Get("Cache-Tag"), want)
			}
		}
	}
	for _, path := range []string{
		"/docs/..", "/docs/a/../b", "/docs/%2e%2e/b", "/docs/a%2F..%2Fb", "/docs/..%5Cb", "/docs/..;x/b", "/docs%2Fa", "/docs./a", "/off/a", "/off/a/b+", "/off/!x", "/unknown/a", "/api/a",
	} {
		if a := s.request(http.MethodGet, path, ""); a.StatusCode != http.StatusNotFound || a.Header.Get("Location") != "" {
			t.Errorf("GET %s = %d to %q, want 404", path, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if a := s.request(http.MethodGet, "/docs/+", ""); a.StatusCode != http.StatusOK {
		t.Errorf("GET /docs/+ = %d, want the preview", a.StatusCode)
	}
	long := "/docs/" + strings.Repeat("x", store.MaxURLLen-len("https://e.com/docs/?v=1#top"))
	if a := s.request(http.MethodGet, long+"?x=1", ""); a.StatusCode != http.StatusFound || len(a.Header.Get("Location")) != store.MaxURLLen {
		t.Errorf("the longest path = %d to %d bytes, want 302 to %d", a.StatusCode, len(a.Header.Get("Location")), store.MaxURLLen)
	}
	if a := s.request(http.MethodGet, long+"x", ""); a.StatusCode != http.StatusRequestURITooLong || a.Header.Get("Location") != "" {
		t.Errorf("a longer path = %d, want 414", a.StatusCode)
	}
	s.create(`{"url":"https://e.com/docs/?v=1#top","alias":"once","forward_path":"append","max_clicks":1}`)
	if a := s.request(http.MethodGet, strings.Replace(long, "docs", "once", 1)+"x", ""); a.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a longer path of a limited link = %d, want 414", a.StatusCode)
	}
	s.create(ruled(`,"alias":"ruled","forward_path":"append","max_clicks":1`, rule(`{"query":{"a":["1"]}}`, strings.Repeat("y", 8000))), s.owner("owner")...)
	if a := s.request(http.MethodGet, "/ruled/"+strings.Repeat("x", 200), ""); a.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a path that is too long for one target of a limited link = %d, want 414", a.StatusCode)
	}
	if a := s.request(http.MethodGet, "/ruled/a", ""); a.StatusCode != http.StatusFound {
		t.Errorf("a visit after that = %d, want 302", a.StatusCode)
	}
	if a := s.request(http.MethodGet, "/once/a", ""); a.StatusCode != http.StatusFound {
		t.Errorf("a visit after a path that was too long = %d, want 302", a.StatusCode)
	}
}

// TestForwardPathOfEveryVisit follows a path through rules, forms, previews for robots, and domains.
func TestForwardPathOfEveryVisit(t *testing.T) {
	t.Parallel()
	s := newServer(t, withDomains(t, goDomain), func(o *options) { o.BaseURL = "http://base.example" })
	s.host = "base.example"
	owner := s.owner("owner")
	wants := func(a visited, status int, location string) {
		t.Helper()
		if a.StatusCode != status || a.Header.Get("Location") != location {
			t.Errorf("answer = %d to %q, want %d to %q", a.StatusCode, a.Header.Get("Location"), status, location)
		}
	}
	l := s.create(ruled(`,"forward_path":"append"`, rule(`{"query":{"a":["1"]}}`, "x/?r=1#f")), owner...)
	wants(s.request(http.MethodGet, "/"+l.Code+"/b?a=1", ""), http.StatusFound, "https://target.example/x/b?r=1#f")
	wants(s.request(http.MethodGet, "/"+l.Code+"/b?a=2", ""), http.StatusFound, "https://target.example/b")

	const form = "application/x-www-form-urlencoded"
	l = s.create(`{"url":"https://target.example/","forward_path":"append","password":"secret"}`, owner...)
	wants(s.request(http.MethodGet, "/"+l.Code+"/a%2Fb", ""), http.StatusOK, "")
	wants(s.request(http.MethodPost, "/"+l.Code+"/a%2Fb", "password=wrong", "Content-Type", form), http.StatusForbidden, "")
	wants(s.request(http.MethodPost, "/"+l.Code+"/a%2Fb", "password=secret", "Content-Type", form), http.StatusSeeOther, "https://target.example/a%2Fb")
	wants(s.request(http.MethodPost, "/"+l.Code+"/../b", "password=secret", "Content-Type", form), http.StatusNotFound, "")

	l = s.create(`{"url":"https://target.example/","forward_path":"append","confirm":true,"max_clicks":2}`, owner...)
	wants(s.request(http.MethodGet, "/"+l.Code+"/a", "", "User-Agent", chromium), http.StatusOK, "")
	a := s.get("/"+l.Code+"/a%2Fb", "User-Agent", slackbot)
	if action := `action="/` + l.Code + `/a%2Fb"`; !contains(a.body, action) {
		t.Errorf("the preview for a robot = %s, want a form with %s", a.body, action)
	}
	if a := s.get("/" + l.Code + "/+"); !contains(a.body, `action="/`+l.Code+`"`) {
		t.Errorf("the preview = %s, want a form for the link", a.body)
	}
	wants(s.request(http.MethodPost, "/"+l.Code+"/a", "", "User-Agent", chromium), http.StatusSeeOther, "https://target.example/a")

	s.on(goDomain.ID, "spring", func(l *store.Link) { l.ForwardPath = true })
	s.on("", "spring", asIs)
	wants(s.request(http.MethodGet, "/spring/a/b", "", "Host", goDomain.Host), http.StatusFound, "https://example.com/"+goDomain.ID+"/a/b")
	wants(s.request(http.MethodGet, "/spring/a/b", ""), http.StatusNotFound, "")
	wants(s.request(http.MethodGet, "/spring/../b", "", "Host", goDomain.Host), http.StatusNotFound, "")
}

// TestForwardPathIsEdited checks edits, the history, batches, the archive, and explain.
func TestForwardPathIsEdited(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	code := s.create(body(`,"forward_path":"append"`), owner...).Code
	path := "/api/v1/links/" + code
	status := func(code string) int { return s.request(http.MethodGet, "/"+code+"/a", "").StatusCode }
	for _, step := range []struct {
		body, want string
		status     int
	}{
		{`{"title":"x"}`, "append", http.StatusFound},
		{`{"forward_path":null}`, "off", http.StatusNotFound},
		{`{"forward_path":"append"}`, "append", http.StatusFound},
		{`{"forward_path":"off"}`, "off", http.StatusNotFound},
		{`{"forward_path":"append"}`, "append", http.StatusFound},
	} {
		if got := s.send(http.MethodPatch, path, step.body, owner...).link().ForwardPath; got != step.want || status(code) != step.status {
			t.Errorf("forward_path after %s = %q and %d, want %q and %d", step.body, got, status(code), step.want, step.status)
		}
	}
	s.send(http.MethodPatch, path, `{"forward_path":"override"}`, owner...).problem(http.StatusUnprocessableEntity)
	if a := s.get(path+"/history", owner...); !contains(a.body, `{"field":"forward_path","before":"append","after":null}`) {
		t.Errorf("history = %s, want changes of forward_path", a.body)
	}
	var batch batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[{"url":"https://target.example/","forward_path":"append"}]}`, owner...).into(&batch)
	if len(batch.Results) != 1 || batch.Results[0].Link == nil || status(batch.Results[0].Link.Code) != http.StatusFound {
		t.Errorf("batch = %+v, want a link that forwards paths", batch)
	}
	s.send(http.MethodPost, "/api/v1/archive", `{"links":[{"code":"old","url":"https://target.example/","forward_path":"append"}]}`, admin...)
	if status("old") != http.StatusFound {
		t.Error("an imported link does not forward paths")
	}
	if a := s.get("/api/v1/archive", admin...); !contains(a.body, `"forward_path":"append"`) {
		t.Errorf("export = %s, want forward_path", a.body)
	}
	if e := s.explain(code, map[string]any{"path": "/a%2Fb/c"}, owner...); e.Location != "https://target.example/a%2Fb/c" {
		t.Errorf("explain = %q, want the path at the end", e.Location)
	}
	for _, wrong := range []string{"a", "/a?b", "/a#b", "/../a", "/%2e%2e", "/%zz"} {
		if got := s.send(http.MethodPost, path+"/explain", map[string]any{"path": wrong}, owner...).problem(http.StatusUnprocessableEntity); !strings.Contains(got, "path") {
			t.Errorf("explain of the path %q = %q, want a problem of path", wrong, got)
		}
	}
	renamed := s.send(http.MethodPatch, path, `{"alias":"renamed"}`, owner...).link()
	if renamed.ForwardPath != "append" {
		t.Errorf("forward_path after a rename = %q, want append", renamed.ForwardPath)
	}
	if a := s.request(http.MethodGet, "/"+code+"/a", ""); !strings.HasSuffix(a.Header.Get("Location"), "/renamed/a") {
		t.Errorf("the old code leads to %q, want the path at the new code", a.Header.Get("Location"))
	}
	s.send(http.MethodPost, "/api/v1/links/off/explain", map[string]any{"path": "/a"}, owner...).problem(http.StatusNotFound)
	s.create(`{"url":"https://target.example/","alias":"plain"}`, owner...)
	s.send(http.MethodPost, "/api/v1/links/plain/explain", map[string]any{"path": "/a"}, owner...).problem(http.StatusUnprocessableEntity)
}
