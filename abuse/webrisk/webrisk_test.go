package webrisk_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/abuse/webrisk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "AIza-secret"

// service stands in for Google's service, which tests cannot reach. It answers as the
// reference documents. The path of the target selects the answer.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	down     atomic.Int64 // status of every answer; 0 means documented answers
}

func newService(tb testing.TB) *service {
	tb.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	tb.Cleanup(s.Close)
	return s
}

func (s *service) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if status := s.down.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	target, err := url.Parse(r.URL.Query().Get("uri"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch target.Path {
	case "/malware":
		fmt.Fprint(w, `{"threat":{"threatTypes":["MALWARE"],"expireTime":"2026-07-17T15:01:23.045123456Z"}}`)
	case "/both":
		fmt.Fprint(w, `{"threat":{"threatTypes":["SOCIAL_ENGINEERING","MALWARE"],"expireTime":"2026-07-17T15:01:23Z"}}`)
	case "/later":
		fmt.Fprint(w, `{"threat":{"threatTypes":["SOMETHING_NEW"]},"unknown":1}`)
	case "/refused":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":{"code":400,"message":"Invalid URI","status":"INVALID_ARGUMENT"}}`)
	case "/key":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`)
	case "/long":
		w.WriteHeader(http.StatusRequestURITooLong)
	case "/garbage":
		fmt.Fprint(w, `<html>`)
	case "/redirect":
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	default:
		fmt.Fprint(w, `{}`)
	}
}

func (s *service) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func newClient(tb testing.TB, change ...func(*webrisk.Options)) (*webrisk.Client, *service) {
	tb.Helper()
	s := newService(tb)
	opts := webrisk.Options{Key: key, API: s.URL, Rate: 1e6, Registerer: prometheus.NewRegistry()}
	for _, f := range change {
		f(&opts)
	}
	c, err := webrisk.New(opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	tb.Cleanup(c.Close)
	return c, s
}

// TestClose checks that Close closes the connection to the service.
func TestClose(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc((&service{}).answer))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c, err := webrisk.New(webrisk.Options{Key: key, API: s.URL, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	if _, err := c.Check(t.Context(), "https://example.com/"); err != nil {
		t.Fatalf("Check() = %v, want nil", err)
	}
	c.Close()
	select {
	case <-closed:
	case <-time.After(30 * time.Second): // half of the time after which an idle connection is closed anyway
		t.Error("the connection is open after Close")
	}
}

// TestRequestIsAsDocumented compares the request with the reference of uris.search:
// GET, the required uri, repeated threatTypes, and the key.
func TestRequestIsAsDocumented(t *testing.T) {
	t.Parallel()
	c, s := newClient(t)
	const target = "https://example.com/päth?q=1&r=2 3#f"
	if _, err := c.Check(t.Context(), target); err != nil {
		t.Fatalf("Check() = %v, want nil", err)
	}
	asked := s.asked()
	if len(asked) != 1 {
		t.Fatalf("the service got %d requests, want 1", len(asked))
	}
	r := asked[0]
	want := url.Values{
		"uri": {target}, "key": {key}, "threatTypes": {"MALWARE", "SOCIAL_ENGINEERING", "UNWANTED_SOFTWARE"},
	}
	if r.Method != http.MethodGet || r.URL.Path != "/v1/uris:search" || !reflect.DeepEqual(r.URL.Query(), want) {
		t.Errorf("request = %s %s, want GET /v1/uris:search with %v", r.Method, r.URL, want)
	}
	if r.ContentLength != 0 {
		t.Errorf("request has a body of %d bytes, want no body", r.ContentLength)
	}
}

// TestLongTargets checks how a target that is too long for a request is shortened.
func TestLongTargets(t *testing.T) {
	t.Parallel()
	c, s := newClient(t)
	const path = "https://example.com/malware"
	for _, tt := range []struct{ name, target, want string }{
		{"query", path + "?" + strings.Repeat("q", 8000), path},
		{"fragment", path + "#" + strings.Repeat("f", 8000), path},
		{"path", path + "/" + strings.Repeat("p", 8000), path + "/"},
		{"slashes", "https://example.com" + strings.Repeat("/", 8000), "https://example.com" + strings.Repeat("/", 1981)},
	} {
		if _, err := c.Check(t.Context(), tt.target); err != nil {
			t.Errorf("Check(%s) = %v, want nil", tt.name, err)
		}
		asked := s.asked()
		if got := asked[len(asked)-1].URL.Query().Get("uri"); got != tt.want {
			t.Errorf("the long %s is sent as %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	for _, tt := range []struct {
		path, want string
		failed     bool
	}{
		{"/", "", false},
		{"/malware", "Google Web Risk warns of it: malware", false},
		{"/both", "Google Web Risk warns of it: malware, phishing", false},
		{"/later", "Google Web Risk warns of it: another threat", false},
		{"/refused", "", false},
		{"/long", "", false},
		{"/key", "", true},
		{"/garbage", "", true},
		{"/redirect", "", true},
	} {
		got, err := c.Check(t.Context(), "https://example.com"+tt.path)
		if got != tt.want || (err != nil) != tt.failed {
			t.Errorf("Check(%s) = %q, %v, want %q, failed %t", tt.path, got, err, tt.want, tt.failed)
		}
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("Check(%s) = %v, which contains the key", tt.path, err)
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 429, 500, 503} {
		c, s := newClient(t)
		s.down.Store(int64(status))
		for range 20 {
			if reason, err := c.Check(t.Context(), "https://example.com/malware"); err == nil || reason != "" {
				t.Errorf("Check() while the service answers %d = %q, %v, want an error", status, reason, err)
			}
		}
		if n := len(s.asked()); n != 5 {
			t.Errorf("a service that answers %d got %d requests, want 5", status, n)
		}
		if _, err := c.Check(t.Context(), "https://example.com/"); !errors.Is(err, circuitbreaker.ErrOpen) {
			t.Errorf("Check() after many failures = %v, want %v", err, circuitbreaker.ErrOpen)
		}
	}
	gone, s := newClient(t, func(o *webrisk.Options) { o.Timeout = time.Second })
	s.Close()
	if _, err := gone.Check(t.Context(), "https://example.com/"); err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("Check() of a stopped service = %v, want an error without the key", err)
	}
}

func TestRateIsKept(t *testing.T) {
	t.Parallel()
	c, s := newClient(t, func(o *webrisk.Options) { o.Rate = 1 })
	began := time.Now()
	_, _ = c.Check(t.Context(), "https://example.com/")
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, _ = c.Check(ctx, "https://example.com/")
		cancel()
	}
	if n, most := len(s.asked()), 1+int(time.Since(began)/time.Second); n == 0 || n > most {
		t.Errorf("the service got %d requests in %v, want one a second", n, time.Since(began))
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := webrisk.New(webrisk.Options{Rate: -1, Timeout: -1})
	for _, want := range []string{"Key", "Registerer", "Rate", "Timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want an error that names %s", err, want)
		}
	}
}
