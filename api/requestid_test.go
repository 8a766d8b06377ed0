package api_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/terse/terse/api"
)

// id returns the id of an answer, which must have one.
func (a answer) id() string {
	a.t.Helper()
	id := a.header.Get("X-Request-Id")
	if id == "" {
		a.t.Errorf("answer %d has no X-Request-Id", a.status)
	}
	return id
}

// TestRequestID holds that an id is taken from trusted proxies alone, and only when
// it can stand in a log, and that the answer and its problem carry it.
func TestRequestID(t *testing.T) {
	t.Parallel()
	direct := newServer(t)
	behind := newServer(t, func(o *api.Options) { o.Clients = proxies(t, "127.0.0.0/8", "::1/128") })
	hot := behind.create(`{"url":"https://example.com/"}`).Code
	for _, sent := range []string{"a", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "Root=1-67891233:abc/+~._=", strings.Repeat("x", 128)} {
		for _, path := range []string{"/api/v1/links", "/" + hot, "/unknown-" + sent[:1]} {
			if got := behind.get(path, "X-Request-Id", sent).id(); got != sent {
				t.Errorf("id of %s = %q, want %q as the proxy sent it", path, got, sent)
			}
			if got := direct.get(path, "X-Request-Id", sent).header.Get("X-Request-Id"); got == sent {
				t.Errorf("id of %s = %q: a stranger's was taken", path, got)
			}
		}
	}
	for _, wrong := range []string{"a b", `"`, "ä", "{}", strings.Repeat("x", 129)} {
		if got := behind.get("/api/v1/links", "X-Request-Id", wrong).id(); got == wrong {
			t.Errorf("id = %q, want another", got)
		}
	}
	if got := behind.get("/api/v1/links", "X-Request-Id", "a", "X-Request-Id", "b").id(); got == "a" || got == "b" {
		t.Errorf("id of a request with two = %q, want another", got)
	}
	for _, a := range []answer{
		direct.get("/api/v1/links"), // from a handler
		direct.get("/api/v1/nothing"),
		direct.send(http.MethodPost, "/api/v1/links", `{"url":"javascript:alert(1)"}`),
		direct.send(http.MethodPost, "/api/v1/links", `{"nonsense":1}`), // huma's own
	} {
		var p struct{ Instance string }
		a.into(&p)
		if want := "urn:terse:request:" + a.id(); p.Instance != want {
			t.Errorf("instance of a %d = %q, want %q", a.status, p.Instance, want)
		}
	}
}

// log is a JSON log in memory.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns what was logged with a message.
func (l *log) lines(t *testing.T, msg string) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.b.Bytes()) {
		var fields map[string]any
		must(t, json.Unmarshal(line, &fields))
		if fields["msg"] == msg {
			all = append(all, fields)
		}
	}
	return all
}

// TestAccessLog holds that as many requests are logged as was asked for, and that no
// secret is.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part        float64
		least, most int
	}{{0, 0, 0}, {0.5, 40, 160}, {1, 200, 200}} {
		var told log
		s := newServer(t, func(o *api.Options) {
			o.AccessLogSample = tt.part
			o.Logger = slog.New(slog.NewJSONHandler(&told, nil))
		})
		const secret = "s3cr3t"
		for range 40 {
			l := s.create(`{"url":"https://example.com/?token=`+secret+`","title":"`+secret+`"}`, s.owner("owner")...)
			s.get("/" + l.Code + "?" + secret)
			s.do(http.MethodPost, "/"+l.Code+"?"+secret, []byte("password="+secret), "Content-Type", "application/x-www-form-urlencoded")
			s.get("/api/v1/links/"+l.Code, s.owner("owner")...)
			s.get("/api/v1/links?q="+secret, s.owner("owner")...)
		}
		lines := told.lines(t, "request")
		if n := len(lines); n < tt.least || n > tt.most {
			t.Errorf("with a sample of %v %d of 200 requests are logged, want %d to %d", tt.part, n, tt.least, tt.most)
		}
		for _, line := range lines {
			if line["route"] == "" || line["method"] == "" || line["status"] == 0.0 || line["took"] == nil {
				t.Errorf("%v lacks something", line)
			}
		}
		if whole := told.b.String(); strings.Contains(whole, secret) || strings.Contains(whole, "tk_") || strings.Contains(whole, "example.com") {
			t.Errorf("the log tells secrets: %s", whole)
		}
	}
}
