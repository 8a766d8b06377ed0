package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// maker makes hostile requests and some honest ones. The same seed makes the same
// requests, except for host names, paths and methods made from names.
type maker struct {
	*rand.Rand
	names *rand.Rand // for names in hosts, paths and methods
}

func newMaker(seed, worker, names uint64) *maker {
	source := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, worker)) } //nolint:gosec // must be repeatable
	return &maker{source(seed), source(seed + names)}
}

// honest are requests that clients send: method and path, one header, and the body.
var honest = [][3]string{
	{"GET /spring", "Accept: text/html", ""},
	{"GET /spring?utm=x", "Accept-Encoding: gzip", ""},
	{"HEAD /spring", "Accept: */*", ""},
	{"GET /spring+", "Accept: text/html", ""},
	{"GET /nothing", "Accept: text/html", ""},
	{"GET /", "Accept: text/html", ""},
	{"GET /api/docs", "Accept: text/html", ""},
	{"GET /api/v1/links/spring/qr", "Accept: */*", ""},
	{"POST /api/v1/links", "Content-Type: application/json", `{"url":"https://example.com/","alias":"spring"}`},
	{"POST /api/v1/links", "Content-Type: application/json", `{"url":"https://example.com/?a=b","title":"x","tags":["a"]}`},
	{"POST /api/v1/links/batch", "Content-Type: application/json", `{"links":[{"url":"https://example.com/"},{"url":"x"}]}`},
	{"POST /", "Content-Type: application/x-www-form-urlencoded", "url=https%3A%2F%2Fexample.com%2Fform"},
}

var methods = []string{
	"GET", "GET", "GET", "GET", "HEAD", "POST", "POST", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "PROPFIND", "get", "M-SEARCH",
}

// paths are existing paths, and paths that look similar.
var paths = []string{
	"/", "/%C", "/abc", "/abc+", "/spring", "/spring+", "/..", "/a/b", "//evil.example/", "/%09/evil.example/", "/%00", "/%C0", "/abc%C0", "/%zz",
	"/favicon.ico", "/robots.txt", "/.well-known/x", "/static/app.css", "/static/../..", "/static/%2e%2e/x", "/api", "/api/", "/api/docs", "/api/docs/..",
	"/api/openapi.json", "/api/openapi-3.0.json", "/api/v1/links", "/api/v1/links/batch", "/api/v1/links/spring", "/api/v1/links/%00", "/api/v1/links/spring/qr",
	"/api/v1/links/spring/history", "/api/v1/links/spring/rollback", "/api/v1/links/spring/disable", "/api/v1/links/spring/enable", "/api/v1/archive",
	"/api/v1/blocklist", "/api/v1/blocklist/evil.example", "/api/v1/reports", "/api/v1/reports/x/resolve", "/api/v2/links", "*", "http://evil.example/x", "/livez", "/metrics", "/debug/pprof/",
}

var queries = []string{
	"", "", "?", "?a=b", "?limit=1", "?limit=-1", "?limit=99999999999999999999", "?cursor=x", "?cursor=%00", "?tag=%FF", "?q=%00", "?format=gif&size=1e9", "?%zz", "?;", "?a=b;c", "?limit=1&limit=2", "?utm=<script>", "?\x7f",
}

// bodies are valid and almost valid JSON and forms.
var bodies = []string{
	`{"url":"https://example.com/"}`, `{"url":"https://example.com/","alias":"spring"}`, `{"url":"javascript:alert(1)"}`, `{"url":"//evil.com"}`, `{"url":"https://a@b"}`,
	`{"url":"\u0000"}`, `{"url":"\ud800"}`, `{"url":1}`, `{"url":null}`, `{}`, `[]`, `null`, `"`, `{`, ``, `{"url":"x","url":"y"}`, `{"nonsense":1}`,
	`{"links":[]}`, `{"links":[{"url":"https://example.com/"},1,null,{"url":[]}]}`, `{"links":[{"code":"a","url":"https://example.com/","clicks":-1}]}`, `{"links":{}}`,
	`{"reason":"<script>"}`, `{"host":"evil.example","reason":"x"}`, `{"version":1}`, `{"version":-1}`, `{"version":1e999}`, `{"max_clicks":1.5,"url":"https://x.example"}`,
	`{"expires_at":"0000-00-00T00:00:00Z","url":"https://x.example"}`, `{"tags":[null],"url":"https://x.example"}`, `{"title":"\u202e","url":"https://x.example"}`,
	"url=https%3A%2F%2Fexample.com", "url=%zz", "url=javascript:alert(1)&alias=<script>", "password=x", "reason=spam&comment=%00", "\x00\xff\xfe", "{\"url\":\"\xff\"}",
}

var headers = []string{
	"Content-Type: application/json", "Content-Type: application/json", "Content-Type: application/json; charset=utf-16", "Content-Type: application/x-www-form-urlencoded",
	"Content-Type: text/plain", "Content-Type: multipart/form-data; boundary=x", "Content-Encoding: gzip", "Accept: text/html", "Accept: */*;q=x",
	"Accept-Encoding: gzip", "Accept-Encoding: identity;q=0", "Authorization: Bearer tk_x", "Authorization: Basic eDp5", "Authorization: Bearer", "Cookie: a=b; =;",
	"Idempotency-Key: x", "Idempotency-Key: \"", "If-Match: \"1\"", "If-Match: W/\"1\", *", "If-None-Match: *", "If-Modified-Since: never", "Range: bytes=0-,-1", "Range: bytes=9-1",
	"Expect: 100-continue", "Origin: null", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Referer: <script>alert(1)</script>", "User-Agent: \" onmouseover=",
	"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: ,,,", "X-Forwarded-Proto: javascript", "X-Real-IP: ::", "Forwarded: for=_x;proto=x", "X-HTTP-Method-Override: DELETE",
	"Purpose: prefetch", "Sec-Purpose: prefetch", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "Connection: close", "TE: trailers", "Traceparent: 00-x", "X-Request-ID: %0b",
}

// broken are invalid headers.
var broken = []string{
	"Content-Type: \xff", "Cookie: \x01", "X-Request-ID: \x0b", "A B: c", ": x", "Content-Length: -1", "Content-Length: 5, 6",
	"Transfer-Encoding: x", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
}

// one returns a random element.
func (m *maker) one(of []string) string { return of[m.IntN(len(of))] }

func (m *maker) byte() byte { return byte(m.IntN(256)) } //nolint:gosec // it fits

// word returns random bytes without spaces and ends of lines.
func (m *maker) word(most int) string {
	b := make([]byte, m.IntN(most))
	for i := range b {
		if b[i] = m.byte(); b[i] == '\n' || b[i] == '\r' || b[i] == ' ' {
			b[i] = '%'
		}
	}
	return string(b)
}

// host returns one of ten thousand Host headers.
func (m *maker) host() string { return fmt.Sprintf("Host: host-%d.example", m.names.IntN(10_000)) }

// request returns the bytes of one request, and whether it is a HEAD.
func (m *maker) request() (raw []byte, head bool) {
	if m.IntN(3) == 0 {
		r := honest[m.IntN(len(honest))]
		return fmt.Appendf(nil, "%s HTTP/1.1\r\n%s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", r[0], m.host(), r[1], len(r[2]), r[2]),
			strings.HasPrefix(r[0], "HEAD")
	}
	method, path := m.one(methods), m.one(paths)
	switch m.IntN(8) {
	case 0:
		path = "/" + m.word(40)
	case 1:
		path = fmt.Sprintf("/path-%d", m.names.Uint64())
	case 2:
		path = strings.ReplaceAll(path, "spring", m.word(10))
	}
	if m.IntN(20) == 0 {
		method = fmt.Sprintf("METHOD%d", m.names.IntN(1000))
	}
	body := ""
	if method != "GET" && method != "HEAD" || m.IntN(20) == 0 {
		body = m.one(bodies)
		if m.IntN(4) == 0 {
			body = m.mutate(body)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s%s HTTP/1.1\r\n", method, path, m.one(queries))
	if m.IntN(50) != 0 {
		fmt.Fprintf(&b, "%s\r\n", m.host())
	}
	for range m.IntN(5) {
		fmt.Fprintf(&b, "%s\r\n", m.one(headers))
	}
	switch m.IntN(40) {
	case 2:
		fmt.Fprintf(&b, "%s\r\n", m.one(broken))
	case 0:
		fmt.Fprintf(&b, "X-%s: %s\r\n", m.word(8), m.word(200))
	case 1:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		return b.Bytes(), method == "HEAD"
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.Bytes(), method == "HEAD"
}

// mutate changes up to four random places.
func (m *maker) mutate(s string) string {
	b := []byte(s)
	for range 1 + m.IntN(4) {
		if len(b) == 0 {
			return m.word(20)
		}
		i := m.IntN(len(b))
		switch m.IntN(3) {
		case 0:
			b[i] = m.byte()
		case 1:
			b = append(b[:i], b[i+1:]...)
		case 2:
			b = append(b[:i], append([]byte(m.word(6)), b[i:]...)...)
		}
	}
	return string(b)
}
