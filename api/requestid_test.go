package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// id returns the request id of an answer. The test fails if it is missing.
func (a answer) id() string {
	a.t.Helper()
	id := a.header.Get("X-Request-Id")
	if id == "" {
		a.t.Errorf("answer %d has no X-Request-Id", a.status)
	}
	return id
}

// TestRequestID checks that an id is accepted only from trusted proxies, and only if it is
// safe in logs. The answer and its problem must have the id.
func TestRequestID(t *testing.T) {
	t.Parallel()
	direct := newServer(t)
	behind := newServer(t, func(o *options) { o.Clients = proxies(t, "127.0.0.0/8", "::1/128") })
	hot := behind.create(`{"url":"https://example.com/"}`).Code
	for _, sent := range []string{"a", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "Root=1-67891233:abc/+~._=", strings.Repeat("x", 128)} {
		for _, path := range []string{"/api/v1/links", "/" + hot, "/unknown-" + sent[:1]} {
			if got := behind.get(path, "X-Request-Id", sent).id(); got != sent {
				t.Errorf("id of %s = %q, want %q as the proxy sent it", path, got, sent)
			}
			if got := direct.get(path, "X-Request-Id", sent).header.Get("X-Request-Id"); got == sent {
				t.Errorf("id of %s = %q: accepted without a trusted proxy", path, got)
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
		direct.send(http.MethodPost, "/api/v1/links", `{"nonsense":1}`), // from huma
	} {
		var p struct{ Instance string }
		a.into(&p)
		if want := "urn:terse:request:" + a.id(); p.Instance != want {
			t.Errorf("instance of a %d = %q, want %q", a.status, p.Instance, want)
		}
	}
}

// TestCachedAnswersHaveNoRequestID checks that no answer which a CDN may keep has the id of
// the request that it was made for, in a header or in its body.
func TestCachedAnswersHaveNoRequestID(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.CDN, o.Clients = true, proxies(t, "127.0.0.0/8", "::1/128") })
	const id = "chosen-by-a-visitor"
	live := s.create(`{"url":"https://example.com/"}`).Code
	gone := s.create(`{"url":"https://example.com/"}`, s.owner("owner")...).Code
	s.do(http.MethodDelete, "/api/v1/links/"+gone, nil, s.owner("owner")...)
	once := s.create(`{"url":"https://example.com/","max_clicks":1}`).Code
	for path, kept := range map[string]bool{"/" + live: true, "/" + gone: true, "/unknown": true, "/" + once: false, "/" + live + "/x": true, "/api/v1/links": false} {
		got := s.get(path, "X-Request-Id", id)
		cached := strings.Contains(got.header.Get("CDN-Cache-Control"), "max-age")
		shown := got.header.Get("X-Request-Id") != "" || strings.Contains(string(got.body), id)
		if cached != kept || shown == kept {
			t.Errorf("%s = %d, for caches: %t, with an id: %t, want %t and %t", path, got.status, cached, shown, kept, !kept)
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

// lines returns the log records with a message.
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

// idLog adds the request id to log records, as the log of the terse command does.
type idLog struct{ slog.Handler }

func (h idLog) Handle(ctx context.Context, record slog.Record) error {
	record.AddAttrs(slog.String("id", api.RequestID(ctx)))
	return h.Handler.Handle(ctx, record)
}

// loggingStore is a store that logs each call, then returns err, or panics if err is nil.
type loggingStore struct {
	store.Store
	log *slog.Logger
	err error
}

func (s loggingStore) asked(ctx context.Context) error {
	s.log.InfoContext(ctx, "store is asked")
	if s.err == nil {
		panic("no error")
	}
	return s.err
}

func (s loggingStore) Resolve(ctx context.Context, _ string) (store.Link, error) {
	return store.Link{}, s.asked(ctx)
}

func (s loggingStore) Create(ctx context.Context, _ store.Link) (store.Link, error) {
	return store.Link{}, s.asked(ctx)
}

func (s loggingStore) CreateOnce(ctx context.Context, _ store.Link, _ store.Reservation) (store.Link, store.Reservation, error) {
	return store.Link{}, store.Reservation{}, s.asked(ctx)
}

func (s loggingStore) Get(ctx context.Context, _ string) (store.Link, error) {
	return store.Link{}, s.asked(ctx)
}

// TestLogsNameTheRequest checks that all log records of a request, from the API and from the
// store, have the id of the answer.
func TestLogsNameTheRequest(t *testing.T) {
	t.Parallel()
	for msg, err := range map[string]error{
		"request failed":                           errors.New("cause"),
		"store is unavailable":                     fmt.Errorf("disk: %w", store.ErrUnavailable),
		"server is overloaded, rejecting requests": store.ErrShed,
		"request panicked":                         nil,
	} {
		t.Run(msg, func(t *testing.T) {
			t.Parallel()
			var logged log
			logger := slog.New(idLog{slog.NewJSONHandler(&logged, nil)})
			s := newServer(t, func(o *options) {
				o.Logger, o.Store = logger, loggingStore{o.Store, logger, err}
				o.Clients = proxies(t, "127.0.0.0/8", "::1/128")
			})
			const create = `{"url":"https://example.com/"}`
			for name, ask := range map[string]func(id ...string) answer{
				"redirect": func(id ...string) answer { return s.get("/abc", id...) },
				"preview":  func(id ...string) answer { return s.get("/abc+", id...) },
				"form": func(id ...string) answer {
					return s.do(http.MethodPost, "/", []byte("url=https://example.com/"), append(id, "Content-Type", "application/x-www-form-urlencoded")...)
				},
				"read":         func(id ...string) answer { return s.get("/api/v1/links/abc", append(id, s.owner("owner")...)...) },
				"quick create": func(id ...string) answer { return s.send(http.MethodPost, "/api/v1/links", create, id...) },
				"create": func(id ...string) answer {
					return s.send(http.MethodPost, "/api/v1/links", create, append(id, "Idempotency-Key", "key")...)
				},
			} {
				for _, sent := range [][]string{nil, {"X-Request-Id", "from-a-proxy"}} {
					s.clock.add(time.Second) // outages are logged once a second
					logged.b.Reset()
					id := ask(sent...).id()
					if sent != nil && id != sent[1] {
						t.Errorf("the id of a %s = %q, want the id of the proxy", name, id)
					}
					lines, asked := logged.lines(t, msg), logged.lines(t, "store is asked")
					if len(lines) != 1 || lines[0]["id"] != id {
						t.Errorf("a %s with the id %q logs %v", name, id, lines)
					}
					visit := sent == nil && (name == "redirect" || name == "preview") // gets its id only when it fails
					if len(asked) != 1 || asked[0]["id"] != id && !visit {
						t.Errorf("the store logs %v for a %s with the id %q", asked, name, id)
					}
				}
			}
		})
	}
}

// TestAccessLog checks that the configured share of requests is logged, without secrets.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part        float64
		least, most int
	}{{0, 0, 0}, {0.5, 40, 160}, {1, 200, 200}} {
		var logged log
		s := newServer(t, func(o *options) {
			o.AccessLogSample = tt.part
			o.Logger = slog.New(slog.NewJSONHandler(&logged, nil))
		})
		const secret = "s3cr3t"
		for range 40 {
			l := s.create(`{"url":"https://example.com/?token=`+secret+`","title":"`+secret+`"}`, s.owner("owner")...)
			s.get("/" + l.Code + "?" + secret)
			s.do(http.MethodPost, "/"+l.Code+"?"+secret, []byte("password="+secret), "Content-Type", "application/x-www-form-urlencoded")
			s.get("/api/v1/links/"+l.Code, s.owner("owner")...)
			s.get("/api/v1/links?q="+secret, s.owner("owner")...)
		}
		lines := logged.lines(t, "request")
		if n := len(lines); n < tt.least || n > tt.most {
			t.Errorf("with a sample of %v %d of 200 requests are logged, want %d to %d", tt.part, n, tt.least, tt.most)
		}
		for _, line := range lines {
			if line["route"] == "" || line["method"] == "" || line["status"] == 0.0 || line["took"] == nil {
				t.Errorf("%v lacks a field", line)
			}
		}
		if whole := logged.b.String(); strings.Contains(whole, secret) || strings.Contains(whole, "tk_") || strings.Contains(whole, "example.com") {
			t.Errorf("the log contains secrets: %s", whole)
		}
	}
}
