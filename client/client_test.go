package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a server with prepared answers. It records the requests.
type script struct {
	*httptest.Server
	mu      sync.Mutex
	answers []func(w http.ResponseWriter)
	asked   []*http.Request
}

// play starts a server that gives the answers in order and then repeats the last one.
func play(t *testing.T, answers ...func(w http.ResponseWriter)) (*script, *client.Client) {
	t.Helper()
	return playFor(t, 2*time.Minute, answers...)
}

// playFor is play with a client that retries for the given time.
func playFor(t *testing.T, patience time.Duration, answers ...func(w http.ResponseWriter)) (*script, *client.Client) {
	t.Helper()
	s := &script{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		answer := s.answers[min(len(s.asked), len(s.answers)-1)]
		s.asked = append(s.asked, r)
		s.mu.Unlock()
		answer(w)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(client.Options{Server: s.URL + "/", Key: "tk_x", Patience: patience, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

// say answers with a status, a body and headers.
func say(status int, body string, headers ...string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

const link = `{"code":"a","short_url":"https://sho.rt/a","clicks":9007199254740993}`

// TestCreateRepeatsWithOneKey checks that Create retries temporary errors and sends
// the same Idempotency-Key each time.
func TestCreateRepeatsWithOneKey(t *testing.T) {
	t.Parallel()
	s, c := play(t, cut, say(503, `{}`, "Retry-After", "0"), say(502, "<html>"), say(429, `{}`, "Retry-After", "1"), say(201, link))
	began := time.Now()
	l, err := c.Create(t.Context(), client.NewLink{URL: "https://example.com"}, "")
	if err != nil || l.Code != "a" || l.Clicks != 9007199254740993 {
		t.Fatalf("Create() = %+v, %v, want the link", l, err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("Create() took %v, want at least the Retry-After of 1 s", took)
	}
	key := s.asked[0].Header.Get("Idempotency-Key")
	for _, r := range s.asked {
		if key == "" || r.Header.Get("Idempotency-Key") != key || r.Header.Get("Authorization") != "Bearer tk_x" || r.URL.Path != "/api/v1/links" {
			t.Errorf("request headers = %v, want the first Idempotency-Key", r.Header)
		}
	}
	if len(s.asked) != 5 {
		t.Errorf("%d requests, want 5", len(s.asked))
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	_, c := play(t, say(422, `{"type":"urn:terse:problem:invalid","title":"The request is not valid","status":422,"errors":[{"location":"body.url","message":"is bad"},{"location":"body.title","message":"is long"}]}`))
	_, err := c.Create(t.Context(), client.NewLink{}, "")
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok || problem.Status != 422 || len(problem.Errors) != 2 || problem.Errors[0].Field() != "url" || !strings.Contains(err.Error(), "url: is bad; title: is long") {
		t.Errorf("Create() = %v, want a problem with both fields", err)
	}
	for _, body := range []string{"<html>", `{"title":""}`, `[]`, ""} {
		_, c := play(t, say(404, body))
		if _, err := c.Get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("Get() answered %q = %v, want an error with the status", body, err)
		}
	}
	_, c = play(t, say(200, "<html>"))
	if _, err := c.List(t.Context(), client.Query{}); err == nil || !strings.Contains(err.Error(), "not valid JSON") {
		t.Errorf("List() of HTML = %v, want an error about JSON", err)
	}
}

// TestPatienceEnds checks that a call fails when the server stays unavailable.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	s, c := playFor(t, 2*time.Second, say(503, `{"title":"Temporarily unavailable"}`))
	if _, err := c.Get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "unavailable") {
		t.Errorf("Get() = %v, want the 503", err)
	}
	if len(s.asked) < 2 {
		t.Errorf("%d requests, want retries", len(s.asked))
	}
}

func TestContextEndsAWait(t *testing.T) {
	t.Parallel()
	_, c := play(t, say(429, `{}`, "Retry-After", "3600"))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get() = %v, want the context's error", err)
	}
}

// TestImportArchiveRetries checks that ImportArchive retries the links with status
// 503, and only those links.
func TestImportArchiveRetries(t *testing.T) {
	t.Parallel()
	answer := func(statuses ...int) func(w http.ResponseWriter) {
		var results []string
		for _, status := range statuses {
			one := fmt.Sprintf(`{"status":%d}`, status)
			if status >= 400 {
				one = fmt.Sprintf(`{"status":%d,"error":{"status":%d,"title":"No"}}`, status, status)
			}
			results = append(results, one)
		}
		return say(200, `{"results":[`+strings.Join(results, ",")+`]}`)
	}
	s, c := play(t, answer(201, 503, 409, 503), answer(503, 200), answer(201))
	got, err := c.ImportArchive(t.Context(), make([]client.ArchivedLink, 4))
	if err != nil || got[0].Problem != nil || got[1].Problem != nil || got[3].Problem != nil || got[2].Problem == nil || got[2].Problem.Status != 409 || len(s.asked) != 3 {
		t.Errorf("ImportArchive() = %v, %v after %d requests, want a 409 for the third link after 3", got, err, len(s.asked))
	}
	_, c = playFor(t, 2*time.Second, answer(503))
	got, err = c.ImportArchive(t.Context(), make([]client.ArchivedLink, 1))
	if err != nil || got[0].Problem == nil || got[0].Problem.Status != 503 {
		t.Errorf("ImportArchive() to an unavailable server = %v, %v, want a 503", got, err)
	}
	_, c = play(t, answer())
	if got, err = c.ImportArchive(t.Context(), make([]client.ArchivedLink, 1)); err != nil || got[0].Problem == nil {
		t.Errorf("ImportArchive() without results = %v, %v, want a problem", got, err)
	}
}

// TestInvalidTextIsNotSent checks that text that JSON cannot carry is rejected, and that the other
// links of a batch are sent.
func TestInvalidTextIsNotSent(t *testing.T) {
	t.Parallel()
	const bad = "caf\xe9"
	s, c := play(t, say(200, `{"results":[{"status":201,"link":{"short_url":"https://sho.rt/a"}}]}`))
	named := func(err error, field string) bool {
		p, ok := errors.AsType[*client.Problem](err)
		return ok && p.RejectsLink() && len(p.Errors) == 1 && p.Errors[0].Field() == field
	}
	for field, l := range map[string]client.NewLink{
		"url": {URL: "https://e.example/" + bad}, "alias": {Alias: bad}, "title": {Title: bad}, "tags[1]": {Tags: []string{"a", bad}},
		"password": {Password: bad}, "forward_query": {ForwardQuery: bad}, "forward_path": {ForwardPath: bad},
	} {
		if _, err := c.Create(t.Context(), l, ""); !named(err, field) {
			t.Errorf("Create() with a bad %s = %v, want a problem with the field", field, err)
		}
	}
	if _, err := c.Edit(t.Context(), "a", client.Changes{Title: new(bad)}, 1); !named(err, "title") {
		t.Errorf("Edit() = %v, want a problem with title", err)
	}
	got, err := c.CreateBatch(t.Context(), []client.KeyedLink{{NewLink: client.NewLink{Title: bad}}, {NewLink: client.NewLink{URL: "https://e.example"}}})
	if err != nil || !named(got[0].Problem, "title") || got[1].Problem != nil || got[1].Link.ShortURL != "https://sho.rt/a" {
		t.Errorf("CreateBatch() = %+v, %v, want a problem and a link", got, err)
	}
	archived, err := c.ImportArchive(t.Context(), []client.ArchivedLink{{Owner: new(bad)}})
	if err != nil || !named(archived[0].Problem, "owner") || len(s.asked) != 1 {
		t.Errorf("ImportArchive() = %+v, %v after %d requests, want a problem without a request", archived, err, len(s.asked))
	}
}

// TestExpandSendsNoKey checks that Expand, which can call any server, sends no API key.
func TestExpandSendsNoKey(t *testing.T) {
	t.Parallel()
	s, c := play(t, say(302, "", "Location", "https://example.com/"))
	if target, err := c.Expand(t.Context(), s.URL+"/a"); err != nil || target != "https://example.com/" {
		t.Errorf("Expand() = %q, %v, want the target", target, err)
	}
	if r := s.asked[0]; r.Method != http.MethodHead || r.Header.Get("Authorization") != "" {
		t.Errorf("request = %s with %v, want a HEAD without the key", r.Method, r.Header)
	}
	for status, want := range map[int]string{200: "does not redirect", 404: "no such", 410: "expired", 451: "taken down", 500: "500"} {
		s, c := play(t, say(status, ""))
		if _, err := c.Expand(t.Context(), s.URL+"/a"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Expand() of status %d = %v, want %q", status, err, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, opts := range []client.Options{
		{},
		{Server: "sho.rt"},
		{Server: "ftp://sho.rt"},
		{Server: "https://u:p@sho.rt"},
		{Server: "https://sho.rt?x"},
		{Server: "https://sho.rt", Key: "a\nb"},
		{Server: "https://sho.rt", Timeout: -1},
	} {
		if _, err := client.New(opts); err == nil {
			t.Errorf("New(%+v) = nil, want an error", opts)
		}
	}
}

// TestArchivedLinkOmitsDefaults checks that a link without an owner and tags is sent
// without these fields, so the server sets its defaults.
func TestArchivedLinkOmitsDefaults(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(client.ArchivedLink{Code: "a", URL: "https://example.com"})
	if err != nil || strings.Contains(string(got), "owner") || strings.Contains(string(got), "tags") {
		t.Errorf("JSON of a minimal link = %s, %v, want neither owner nor tags", got, err)
	}
}

// TestRejectsLink checks which statuses are about one link, and which are about the server or
// the key.
func TestRejectsLink(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{
		400: true, 409: true, 410: true, 413: true, 422: true,
		401: false, 403: false, 404: false, 429: false, 500: false, 503: false,
	} {
		if got := (&client.Problem{Status: status}).RejectsLink(); got != want {
			t.Errorf("RejectsLink() with status %d = %v, want %v", status, got, want)
		}
	}
}

func TestParseShort(t *testing.T) {
	t.Parallel()
	c, err := client.New(client.Options{Server: "https://sho.rt/go"})
	if err != nil {
		t.Fatal(err)
	}
	own := client.Short{Code: "spring", URL: "https://sho.rt/go/spring"}
	for _, tt := range []struct {
		text string
		want client.Short // zero: an error
	}{
		{"spring", own},
		{"spring+", own},
		{"sho.rt/go/spring", own},
		{"SHO.RT/go/spring/", own},
		{"http://sho.rt/go/spring+", own},
		{"https://sho.rt/go/spring?a=b#c", own},
		{"other.example/a%2Fb+", client.Short{Domain: "other.example", URL: "https://other.example/a%2Fb"}},
		{"http://other.example/a/", client.Short{Code: "a", Domain: "other.example", URL: "http://other.example/a/"}},
		{"HTTPS://other.example/a?b+", client.Short{Code: "a", Domain: "other.example", URL: "https://other.example/a?b+"}},
		{"https://sho.rt/go/", client.Short{}},
		{"https://sho.rt/go/a/b", client.Short{}},
		{"ftp://sho.rt/go/spring", client.Short{}},
		{"https://u@sho.rt/go/spring", client.Short{}},
		{"https:///spring", client.Short{}},
		{"", client.Short{}},
	} {
		got, err := c.ParseShort(tt.text)
		if got != tt.want || (err != nil) != (tt.want == client.Short{}) {
			t.Errorf("ParseShort(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
}

// TestChangesWithoutReading checks that an edit with a key that may not read links succeeds, and
// that an empty 200 is an error.
func TestChangesWithoutReading(t *testing.T) {
	t.Parallel()
	for status, succeeds := range map[int]bool{http.StatusNoContent: true, http.StatusOK: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(server.Close)
		c, err := client.New(client.Options{Server: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		l, err := c.Edit(t.Context(), "spring", client.Changes{}, 0)
		if (err == nil) != succeeds || l.Code != "" {
			t.Errorf("Edit with an empty %d = %+v, %v, want success = %v", status, l, err, succeeds)
		}
	}
}
