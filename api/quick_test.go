package api_test

import (
	"bytes"
	"cmp"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// TestQuickCreate holds that the create which is answered without huma is answered
// as huma does, which an Accept header makes sure of.
func TestQuickCreate(t *testing.T) {
	t.Parallel()
	nothing := func(*api.Options) {}
	for _, tt := range []struct {
		name    string
		change  func(*api.Options)
		path    string
		headers func(s *server) []string
	}{
		{name: "plain"},
		{name: "by a key", headers: func(s *server) []string { return s.owner("me") }},
		{name: "by a key that may not", headers: func(s *server) []string { return s.key("reader", store.ScopeLinksRead) }},
		{name: "by no key that exists", headers: func(*server) []string { return []string{"Authorization", "Bearer tk_no"} }},
		{name: "limited", change: limitCreates},
		{name: "not allowed", change: func(o *api.Options) { o.AnonymousCreate = false }},
		{name: "nothing minted", change: func(o *api.Options) { o.Minter = noCodes{} }},
		{name: "with a query", path: "/api/v1/links?a=b"},
		{name: "escaped", path: "/api/v1/link%73"},
		{name: "compressed", headers: func(*server) []string { return []string{"Content-Encoding", "gzip"} }},
		{name: "other type", headers: func(*server) []string { return []string{"Content-Type", "text/plain"} }},
		{name: "type with parameters", headers: func(*server) []string { return []string{"Content-Type", "application/json; charset=utf-8"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.change == nil {
				tt.change = nothing
			}
			quick, huma := newServer(t, tt.change), newServer(t, tt.change)
			create := func(s *server, body string, headers ...string) answer {
				if tt.headers != nil {
					headers = append(headers, tt.headers(s)...)
				}
				return s.send(http.MethodPost, cmp.Or(tt.path, "/api/v1/links"), body, headers...)
			}
			for _, body := range quickBodies() {
				got, want := create(quick, body), create(huma, body, "Accept", "application/json")
				if got.status != want.status || told(got) != told(want) {
					t.Errorf("create(%s) = %d\n%s\nwant what huma answers: %d\n%s", body, got.status, told(got), want.status, told(want))
				}
			}
		})
	}
}

// quickBodies are those that are answered quickly, and some that are nearly.
func quickBodies() []string {
	return []string{
		`{"url":"https://example.com/a?b=c#d"}`,
		` { "url" : "https://example.com/<&>" } `,
		` { "url" : "https:\/\/b\u00fccher.example\/" } `,
		`{"url":"nonsense"}`,
		`{"url":"` + baseURL + `"}`,
		`{"url":""}`, `{"url":null}`, `{"url":5}`, `{}`, `null`, `[]`, ``,
		`{"url":"https://example.com/"`, `{"url":"https://example.com/"} {}`, `{"url":"https://example.com/" "}`,
		`{"url":"https://example.com/","url":"https://example.com/"}`, `{"URL":"https://example.com/"}`,
		`{"url":"https://example.com/","alias":null}`, `{"url":"https://example.com/","no":1}`,
		"{\"url\":\"https://example.com/\xff\"}",
		`{"url":"https://example.com/` + strings.Repeat("a", 370) + `"}`,
		`{"url":"https://example.com/` + strings.Repeat("a", 1000) + `"}`,
	}
}

func limitCreates(o *api.Options) {
	o.Limits.CreateAnonymous = ratelimit.Limit{Count: 3, Window: time.Minute}
}

// noCodes cannot mint now.
type noCodes struct{}

func (noCodes) NextCode() (string, error) { return "", store.ErrUnavailable }

func (noCodes) NextCodeNear(int) (string, error) { return "", store.ErrUnavailable }

// told is all that an answer tells, but for the moment and the code.
func told(a answer) string {
	var b strings.Builder
	a.header.Del("Date")
	if id := a.header.Get("X-Request-Id"); id != "" {
		a.header.Set("X-Request-Id", "ID")
		a.body = bytes.ReplaceAll(a.body, []byte(id), []byte("ID"))
	}
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		b.WriteString(name + ": " + strings.Join(a.header[name], ", ") + "\n")
	}
	b.Write(a.body)
	if location := a.header.Get("Location"); location != "" {
		return strings.ReplaceAll(b.String(), path.Base(location), "CODE")
	}
	return b.String()
}
