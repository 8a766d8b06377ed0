package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// hang sends creates with bodies that lack their last byte, and returns when one of them was
// rejected. The client of each is an address that from returns. It counts the statuses of
// rejected bodies.
func (s *server) hang(bodies int, from func(i int) string) (statuses map[int]int, stop func()) {
	s.t.Helper()
	var held []net.Conn
	refused := make(chan int, bodies)
	part := bytes.Repeat([]byte{' '}, api.MaxBodyLen-1)
	for i := range bodies {
		conn := s.begin(api.MaxBodyLen, "X-Forwarded-For", from(i))
		held = append(held, conn)
		go func() { // the answer may come before the whole body is sent
			_, _ = conn.Write(part)
		}()
		go func() {
			for answers := bufio.NewReader(conn); ; {
				response, err := http.ReadResponse(answers, nil)
				if err != nil {
					return
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusContinue {
					refused <- response.StatusCode
				}
			}
		}()
	}
	statuses = map[int]int{}
	select {
	case got := <-refused:
		statuses[got]++
	case <-time.After(2 * time.Minute):
		s.t.Errorf("none of %d bodies of %d bytes was rejected", bodies, api.MaxBodyLen)
	}
	return statuses, func() {
		for _, conn := range held {
			must(s.t, conn.Close())
		}
	}
}

// TestSlowBodiesLockNobodyOut checks that unfinished bodies of one client shut out neither other
// clients, nor edits, takedowns, reports and passwords.
func TestSlowBodiesLockNobodyOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, behindProxy(t))
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com/"}`, owner...)
	secret := s.create(`{"url":"https://example.com/","password":"right"}`, owner...)
	statuses, stop := s.hang(70, func(int) string { return "203.0.113.7" })
	defer stop()
	if len(statuses) != 1 || statuses[http.StatusTooManyRequests] == 0 {
		t.Errorf("bodies beyond the share of the client = %v, want 429", statuses)
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	large := string(bytes.Repeat([]byte{' '}, 1<<19)) + `{"url":"https://example.com/"}`
	for name, tt := range map[string]struct {
		got  answer
		want int
	}{
		"a create of the same client":   {s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`, "X-Forwarded-For", "203.0.113.7"), http.StatusCreated},
		"a large create of another one": {s.send(http.MethodPost, "/api/v1/links", large, "X-Forwarded-For", "203.0.113.8"), http.StatusCreated},
		"a large create with a key":     {s.send(http.MethodPost, "/api/v1/links", large, append(owner, "X-Forwarded-For", "203.0.113.7")...), http.StatusCreated},
		"an edit":                       {s.send(http.MethodPatch, "/api/v1/links/"+l.Code, `{"title":"x"}`, owner...), http.StatusOK},
		"a report":                      {s.do(http.MethodPost, "/"+l.Code+"+", []byte("reason=spam"), form...), http.StatusOK},
		"a password":                    {s.do(http.MethodPost, "/"+secret.Code, []byte("password=right"), form...), http.StatusSeeOther},
		"the form":                      {s.do(http.MethodPost, "/", []byte("url=https://example.com/"), form...), http.StatusSeeOther},
		"a takedown":                    {s.send(http.MethodPost, "/api/v1/links/"+secret.Code+"/disable", `{"reason":"x"}`, admin...), http.StatusOK},
	} {
		if tt.got.status != tt.want {
			t.Errorf("%s beside slow bodies = %d %.200s, want %d", name, tt.got.status, tt.got.body, tt.want)
		}
	}
}

// TestBodiesAreBounded checks that unfinished bodies of many clients without a key together have
// a bound, and that keys still have room beyond it.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, behindProxy(t))
	statuses, stop := s.hang(70, func(i int) string { return fmt.Sprintf("203.0.%d.7", i) })
	if len(statuses) != 1 || statuses[http.StatusServiceUnavailable] == 0 {
		t.Errorf("bodies beyond the share of clients without a key = %v, want 503", statuses)
	}
	large := string(bytes.Repeat([]byte{' '}, 1<<19)) + `{"url":"https://example.com/"}`
	if a := s.send(http.MethodPost, "/api/v1/links", large, s.owner("owner")...); a.status != http.StatusCreated {
		t.Errorf("a large body with a key = %d %s, want 201", a.status, a.body)
	}
	stop()
	testenv.Await(t, "a large create to succeed after the bodies were closed", func() bool {
		return s.send(http.MethodPost, "/api/v1/links", large, "X-Forwarded-For", "198.51.100.1").status == http.StatusCreated
	})
}

// TestHeadersDecideBeforeTheBody checks that a caller without the right to call a route, or over
// a limit, is rejected before it sends a body.
func TestHeadersDecideBeforeTheBody(t *testing.T) {
	t.Parallel()
	closed := newServer(t, func(o *options) { o.AnonymousCreate = false })
	code := closed.create(`{"url":"https://example.com/"}`, closed.owner("owner")...).Code
	reader := closed.key("reader", store.ScopeLinksRead)
	json := []string{"Content-Type", "application/json"}
	for _, route := range bodyRoutes(code) {
		for name, tt := range map[string]struct {
			headers []string
			want    int
		}{
			"no key":          {json, http.StatusUnauthorized},
			"an unknown key":  {append(json, "Authorization", "Bearer tk_x"), http.StatusUnauthorized},
			"a key to read":   {append(json, reader...), http.StatusForbidden},
			"no Content-Type": {nil, http.StatusUnsupportedMediaType},
		} {
			if got := status(t, closed.in(t).beginAt(route.method, route.path, 1000, tt.headers...)); got != tt.want {
				t.Errorf("%s %s with %s = %d before the body, want %d", route.method, route.path, name, got, tt.want)
			}
		}
		if got := status(t, closed.in(t).beginAt(route.method, route.path, api.MaxBodyLen+1, append(json, closed.key("admin", store.ScopeAdmin)...)...)); got != http.StatusRequestEntityTooLarge {
			t.Errorf("%s %s with a long body = %d before the body, want 413", route.method, route.path, got)
		}
	}
	once := newServer(t, func(o *options) {
		o.Limits = api.Limits{CreateAnonymous: ratelimit.Limit{Count: 1, Window: time.Hour}, CreateKey: ratelimit.Limit{Count: 1, Window: time.Hour}}
	})
	owner := once.owner("owner")
	for _, tt := range []struct {
		path    string
		headers []string
	}{
		{"/api/v1/links", json},
		{"/api/v1/links/batch", json},
		{"/api/v1/links", append(json, owner...)},
		{"/api/v1/links/batch", append(json, owner...)},
	} {
		once.send(http.MethodPost, tt.path, `{}`, tt.headers[2:]...)
		if got := status(t, once.beginAt(http.MethodPost, tt.path, 1000, tt.headers...)); got != http.StatusTooManyRequests {
			t.Errorf("POST %s with %d headers over the limit = %d before the body, want 429", tt.path, len(tt.headers)/2, got)
		}
	}
}

// TestUnfinishedBodiesAreCharged checks that a create counts before its body arrives.
func TestUnfinishedBodiesAreCharged(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.CreateAnonymous = limit(t, "1/1h") })
	if got := status(t, s.begin(1000)); got != http.StatusContinue {
		t.Errorf("the head of the first create = %d, want 100", got)
	}
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`).problem(http.StatusTooManyRequests)
}

// TestContentTypeIsRequired checks that a body without a Content-Type is rejected, because a
// browser sends such a body to another site without asking it. A call without a body needs none.
func TestContentTypeIsRequired(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com/"}`)
	const body = `{"url":"https://example.com/"}`
	for _, headers := range [][]string{nil, {"Content-Type", ""}, {"Content-Type", "text/plain"}, {"Content-Type", "text/plain;application/json"}, {"Content-Type", ";"}} {
		for _, key := range [][]string{nil, admin} {
			for _, path := range []string{"/api/v1/links", "/api/v1/links/batch"} {
				s.do(http.MethodPost, path, []byte(body), slices.Concat(headers, key, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"})...).problem(http.StatusUnsupportedMediaType)
			}
		}
	}
	if a := s.do(http.MethodPost, "/api/v1/links/"+l.Code+"/enable", nil, admin...); a.status != http.StatusOK {
		t.Errorf("a call without a body and without a Content-Type = %d %s, want 200", a.status, a.body)
	}
}

// stuck is the connection of a client that does not read its answer.
type stuck struct {
	*httptest.ResponseRecorder
	writing *atomic.Int64
	read    chan struct{} // closed when the client reads
}

func (s stuck) Write(b []byte) (int, error) {
	s.writing.Add(1)
	<-s.read
	return s.ResponseRecorder.Write(b)
}

// TestSlowReadersHoldNoPlaces checks that clients which do not read their answers shut out
// neither other clients nor administrators, and only themselves after half of the places.
func TestSlowReadersHoldNoPlaces(t *testing.T) {
	t.Parallel()
	bounds := withoutQueues()
	bounds[overload.List].Least, bounds[overload.List].Most = 4, 4
	bounds[overload.Write].Least, bounds[overload.Write].Most = 4, 4
	guard, err := overload.New(overload.Options{Registerer: prometheus.NewRegistry(), Bounds: bounds, Delay: func() time.Duration { return 0 }})
	must(t, err)
	s := newServer(t, func(o *options) { o.Guard = guard })
	slow, other, admin := s.owner("slow"), s.owner("other"), s.key("admin", store.ScopeAdmin)
	read, done := make(chan struct{}), make(chan stuck)
	var writing atomic.Int64
	requests := []func() *http.Request{
		func() *http.Request { return httptest.NewRequest(http.MethodGet, "/api/v1/links", nil) },
		func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/links", bytes.NewReader([]byte(`{"url":"https://example.com/"}`)))
			r.Header.Set("Content-Type", "application/json")
			return r
		},
	}
	const each = 2 // half of the places
	for _, request := range requests {
		for range each {
			r := request()
			r.Header.Set(slow[0], slow[1])
			w := stuck{httptest.NewRecorder(), &writing, read}
			go func() {
				s.Config.Handler.ServeHTTP(w, r)
				done <- w
			}()
		}
	}
	testenv.Await(t, "answers to be written", func() bool { return writing.Load() == each*int64(len(requests)) })
	for range 3 {
		for name, got := range map[string]answer{
			"a list of another key":   s.get("/api/v1/links", other...),
			"an administrator's list": s.get("/api/v1/reports", admin...),
			"a create of another key": s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`, other...),
			"a create without a key":  s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`),
		} {
			if got.status != http.StatusOK && got.status != http.StatusCreated {
				t.Errorf("%s beside clients that do not read = %d, want 2xx", name, got.status)
			}
		}
		s.get("/api/v1/links", slow...).shed("one more list of the client that does not read")
	}
	close(read)
	for range each * len(requests) {
		if w := <-done; w.Code != http.StatusOK && w.Code != http.StatusCreated || w.Body.Len() == 0 {
			t.Errorf("an answer that was read late = %d with %d bytes", w.Code, w.Body.Len())
		}
	}
	if a := s.get("/api/v1/links", slow...); a.status != http.StatusOK {
		t.Errorf("a list after the answers were read = %d, want 200", a.status)
	}
}

// TestWritersReadNothing checks that a key without links:read changes its links without
// reading them.
func TestWritersReadNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	writer := s.key("writer", store.ScopeLinksWrite)
	l := s.create(`{"url":"https://example.com/"}`, writer...)
	for i, change := range []struct{ method, path, body string }{
		{http.MethodPatch, "", `{}`},
		{http.MethodPatch, "", `{"title":"x"}`},
		{http.MethodPost, "/rollback", `{"version":1}`},
	} {
		a := s.send(change.method, "/api/v1/links/"+l.Code+change.path, change.body, writer...)
		if a.status != http.StatusNoContent || len(a.body) != 0 || a.header.Get("ETag") == "" {
			t.Errorf("change %d with a key that may not read = %d %s, ETag %q, want 204 with an ETag", i+1, a.status, a.body, a.header.Get("ETag"))
		}
	}
	if a := s.send(http.MethodPatch, "/api/v1/links/"+l.Code, `{}`, s.key("admin", store.ScopeAdmin)...); a.status != http.StatusOK || a.link().Title != "x" {
		t.Errorf("the link = %d %s, want the title x", a.status, a.body)
	}
}

// TestEditsAreCharged checks that edits and roll-backs count against the key's limit of creates.
// Each of them is stored in the history.
func TestEditsAreCharged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct{ method, path, body string }{
		"edit":           {http.MethodPatch, "", `{"title":"x"}`},
		"invalid edit":   {http.MethodPatch, "", `{"url":"x"}`},
		"edit of others": {http.MethodPatch, "x", `{"title":"x"}`},
		"roll-back":      {http.MethodPost, "/rollback", `{"version":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.Limits.CreateKey = limit(t, "3/1h") })
			owner := s.owner("owner")
			path := "/api/v1/links/" + s.create(`{"url":"https://example.com/"}`, owner...).Code + change.path
			for left := 1; left >= 0; left-- {
				a := s.send(change.method, path, change.body, owner...)
				if want := fmt.Sprintf(`"create";r=%d;t=%d`, left, 1200*(3-left)); a.status == http.StatusTooManyRequests || a.header.Get("RateLimit") != want {
					t.Errorf("%s = %d, RateLimit %q, want %q", name, a.status, a.header.Get("RateLimit"), want)
				}
			}
			s.send(change.method, path, change.body, owner...).problem(http.StatusTooManyRequests)
			if a := s.send(http.MethodPatch, path, `{"title":"y"}`, s.key("admin", store.ScopeAdmin)...); a.status == http.StatusTooManyRequests {
				t.Error("the limit of a key counts for another key")
			}
		})
	}
}
