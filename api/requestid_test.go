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

// idLog adds the id of the request to what is logged for one, as the server's own log does.
type idLog struct{ slog.Handler }

func (h idLog) Handle(ctx context.Context, record slog.Record) error {
	record.AddAttrs(slog.String("id", api.RequestID(ctx)))
	return h.Handler.Handle(ctx, record)
}

// telling is a store that logs what it is asked, and answers with an error or a panic.
type telling struct {
	store.Store
	log *slog.Logger
	err error
}

func (s telling) asked(ctx context.Context) error {
	s.log.InfoContext(ctx, "store is asked")
	if s.err == nil {
		panic("no error")
	}
	return s.err
}

func (s telling) Resolve(ctx context.Context, _ string) (store.Link, error) {
	return store.Link{}, s.asked(ctx)
}

func (s telling) Create(ctx context.Context, _ store.Link) (store.Link, error) {
	return store.Link{}, s.asked(ctx)
}

func (s telling) CreateOnce(ctx context.Context, _ store.Link, _ store.Reservation) (store.Link, store.Reservation, error) {
	return store.Link{}, store.Reservation{}, s.asked(ctx)
}

func (s telling) Get(ctx context.Context, _ string) (store.Link, error) {
	return store.Link{}, s.asked(ctx)
}

// TestLogsNameTheRequest holds that whatever is logged because of a request has the id
// of its answer, here and in the store.
func TestLogsNameTheRequest(t *testing.T) {
	t.Parallel()
	for msg, err := range map[string]error{
		"request failed":                           errors.New("cause"),
		"store is unavailable":                     fmt.Errorf("disk: %w", store.ErrUnavailable),
		"more is asked than can be done, shedding": store.ErrShed,
		"request panicked":                         nil,
	} {
		t.Run(msg, func(t *testing.T) {
			t.Parallel()
			var told log
			logger := slog.New(idLog{slog.NewJSONHandler(&told, nil)})
			s := newServer(t, func(o *api.Options) {
				o.Logger, o.Store = logger, telling{o.Store, logger, err}
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
					s.clock.add(time.Second) // what fails every request is logged once in one
					told.b.Reset()
					id := ask(sent...).id()
					if sent != nil && id != sent[1] {
						t.Errorf("the id of a %s = %q, want that which the proxy sent", name, id)
					}
					lines, asked := told.lines(t, msg), told.lines(t, "store is asked")
					if len(lines) != 1 || lines[0]["id"] != id {
						t.Errorf("a %s with the id %q logs %v", name, id, lines)
					}
					visit := sent == nil && (name == "redirect" || name == "preview") // has an id once it fails
					if len(asked) != 1 || asked[0]["id"] != id && !visit {
						t.Errorf("the store logs %v for a %s with the id %q", asked, name, id)
					}
				}
			}
		})
	}
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
