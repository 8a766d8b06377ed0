package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/internal/testenv"
)

// fill takes all places of a class. free returns them.
func (s *server) fill(c overload.Class) (free func()) {
	s.t.Helper()
	var all []func()
	for {
		place, err := s.guard.Admit(s.t.Context(), c, overload.Caller{})
		if err != nil {
			return func() {
				for _, done := range all {
					done()
				}
			}
		}
		all = append(all, place.Done)
	}
}

// shed checks that an answer is the 503 of overload.
func (a answer) shed(what string) {
	a.t.Helper()
	after := a.header.Get("Retry-After")
	if a.status != http.StatusServiceUnavailable || !slices.Contains([]string{"1", "2", "3"}, after) || a.header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s = %d, Retry-After %q, Cache-Control %q, want 503, 1 to 3, no-store", what, a.status, after, a.header.Get("Cache-Control"))
	}
}

// TestShedding checks that a full class rejects its own requests and no others. Links in
// memory always redirect.
func TestShedding(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	var codes []string
	for range 4 {
		codes = append(codes, s.create(`{"url":"https://example.com/"}`, owner...).Code)
	}
	own := "/api/v1/links/" + s.create(`{"url":"https://example.com/"}`, owner...).Code
	cold := 0
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	work := []struct {
		name  string
		class overload.Class
		do    func() answer
		want  int
	}{
		{"a cold redirect", overload.Redirect, func() answer { cold++; return s.get(fmt.Sprint("/never-heard-of-", cold)) }, http.StatusNotFound},
		{"a link", overload.Read, func() answer { return s.get(own, owner...) }, http.StatusOK},
		{"a QR code", overload.Read, func() answer { return s.get("/api/v1/links/" + codes[0] + "/qr") }, http.StatusOK},
		{"a history", overload.Read, func() answer { return s.get(own+"/history", owner...) }, http.StatusOK},
		{"a create", overload.Write, func() answer {
			return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`)
		}, http.StatusCreated},
		{"the form", overload.Write, func() answer {
			return s.do(http.MethodPost, "/", []byte("url=https://example.com/"), form...)
		}, http.StatusSeeOther},
		{"an edit", overload.Write, func() answer { return s.send(http.MethodPatch, own, `{"title":"x"}`, owner...) }, http.StatusOK},
		{"a list", overload.List, func() answer { return s.get("/api/v1/links", owner...) }, http.StatusOK},
		{"an export", overload.List, func() answer { return s.get("/api/v1/links?tag=x", owner...) }, http.StatusOK},
	}
	for _, full := range []overload.Class{overload.Redirect, overload.Read, overload.Write, overload.List} {
		free := s.fill(full)
		for _, w := range work {
			if got := w.do(); w.class == full {
				got.shed(w.name + " without places for it")
			} else if got.status != w.want {
				t.Errorf("%s while class %d has no places = %d %.200s, want %d", w.name, full, got.status, got.body, w.want)
			}
		}
		for _, code := range codes {
			if got := s.get("/" + code); got.status != http.StatusFound {
				t.Errorf("a link in memory while class %d has no places = %d, want 302", full, got.status)
			}
		}
		free()
		for _, w := range work {
			if got := w.do(); got.status != w.want {
				t.Errorf("%s with places again = %d %.200s, want %d", w.name, got.status, got.body, w.want)
			}
		}
	}
	if got := s.get("/api/openapi.json"); got.status != http.StatusOK {
		t.Errorf("the document = %d, want 200", got.status)
	}
}

// TestWorkWaits checks that a request without a free place continues when a place is
// returned.
func TestWorkWaits(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	bounds := slices.Clone(overload.DefaultBounds[:])
	bounds[overload.List].Least, bounds[overload.List].Most, bounds[overload.List].Wait = 1, 1, time.Minute
	guard, err := overload.New(overload.Options{Registerer: reg, Bounds: bounds, Delay: func() time.Duration { return 0 }})
	must(t, err)
	s := newServer(t, func(o *options) { o.Guard = guard })
	owner := s.owner("owner")
	place, err := guard.Admit(t.Context(), overload.List, overload.Caller{})
	must(t, err)
	status := make(chan int)
	go func() { status <- s.get("/api/v1/links", owner...).status }()
	testenv.Await(t, "the list to wait", func() bool {
		waiting := 0.0
		families, err := reg.Gather()
		must(t, err)
		for _, f := range families {
			if f.GetName() != "terse_overload_waiting" {
				continue
			}
			for _, m := range f.GetMetric() {
				waiting += m.GetGauge().GetValue()
			}
		}
		return waiting >= 1
	})
	place.Done()
	if got := <-status; got != http.StatusOK {
		t.Errorf("a list that waited for a place = %d, want 200", got)
	}
}

// TestPasswordsLeaveRoom checks that creates that wait for the hash of a password are
// rejected before they occupy all places of writes.
func TestPasswordsLeaveRoom(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.PasswordCost = 8 })
	clients := [][]string{s.owner("one"), s.owner("two")} // the hashLimit of one client is too low for this test
	statuses := make(chan int, 50)
	for i := range cap(statuses) {
		go func() {
			statuses <- s.do(http.MethodPost, "/api/v1/links", []byte(`{"url":"https://example.com/","password":"a long one"}`),
				append([]string{"Content-Type", "application/json"}, clients[i%2]...)...).status
		}()
	}
	seen := map[int]int{}
	for range cap(statuses) {
		seen[<-statuses]++
	}
	if seen[http.StatusCreated] == 0 || seen[http.StatusServiceUnavailable] == 0 || len(seen) != 2 {
		t.Errorf("%d concurrent creates with a password = %v, want some 201 and the rest 503", cap(statuses), seen)
	}
}

// begin sends the headers of a create. headers are alternating names and values.
func (s *server) begin(length int, headers ...string) net.Conn {
	s.t.Helper()
	return s.beginAt(http.MethodPost, "/api/v1/links", length, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// beginAt sends the headers of a request with a body.
func (s *server) beginAt(method, path string, length int, headers ...string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	must(s.t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n", method, path, length)
	for i := 0; i < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	_, err = io.WriteString(conn, head+"\r\n")
	must(s.t, err)
	return conn
}

func status(t *testing.T, conn net.Conn) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode
}

// TestShedsBeforeTheBody checks that a request of a full class is rejected before its body is
// sent, and that a client that sends its body slowly occupies no place.
func TestShedsBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const body = `{"url":"https://example.com/"}`
	slow := s.begin(len(body))
	if got := status(t, slow); got != http.StatusContinue { // the server reads the body now
		t.Errorf("the head of a create = %d, want 100", got)
	}
	free := s.fill(overload.Write)
	if got := status(t, s.begin(1000)); got != http.StatusServiceUnavailable {
		t.Errorf("a create without a body = %d, want 503 before the body", got)
	}
	free()
	_, err := io.WriteString(slow, body)
	must(t, err)
	if got := status(t, slow); got != http.StatusCreated {
		t.Errorf("a create with a late body = %d, want 201", got)
	}
}
