package audit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/terse/terse/internal/testenv/audit"
)

// liar answers as Terse does, except for visits, which a test controls.
type liar struct {
	*httptest.Server

	mu      sync.Mutex
	targets map[string]string
	visit   func(w http.ResponseWriter, target string)
}

// URL returns the address.
func (l *liar) URL() string { return l.Server.URL }

func newLiar(t *testing.T, visit func(w http.ResponseWriter, target string)) *liar {
	t.Helper()
	l := &liar{targets: map[string]string{}, visit: visit}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/links", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ URL, Alias string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.targets[in.Alias] = in.URL
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"code":%q,"url":%q,"version":1}`, in.Alias, in.URL)
	})
	mux.HandleFunc("GET /{code}", func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.visit(w, l.targets[r.PathValue("code")])
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

func newAuditor(t *testing.T) *audit.Auditor {
	t.Helper()
	a, err := audit.New(audit.Options{ShardOf: func(string) int { return 0 }, DSNs: []string{"postgres://none"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusFound)
}

// TestVisits checks that wrong answers about an acknowledged link are found, and that
// correct answers are not reported.
func TestVisits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		visit  func(w http.ResponseWriter, target string)
		broken string // empty: no promise is broken
		failed int
	}{
		{"the truth", redirect, "", 0},
		{"another target", func(w http.ResponseWriter, _ string) { redirect(w, audit.TargetOf("other")) }, "leads to", 0},
		{"no such link", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusNotFound) }, "= 404, want 302", 1},
		{"gone", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusGone) }, "= 410, want 302", 1},
		{"not now", func(w http.ResponseWriter, _ string) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "", 1},
		{"not now, nor when", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusServiceUnavailable) }, "without Retry-After", 1},
		{"a gateway's error, of a node", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusBadGateway) }, "= 502, want 302", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := newLiar(t, tt.visit)
			a := newAuditor(t)
			if code := a.Create(t.Context(), node, "spring"); code != "spring" {
				t.Fatalf("Create = %q, want spring", code)
			}
			a.Visit(t.Context(), "hot", node, "spring")
			broken := strings.Join(a.Promises(), "\n")
			if !strings.Contains(broken, tt.broken) || tt.broken == "" && broken != "" {
				t.Errorf("promises broken: %q, want %q", broken, tt.broken)
			}
			if got := a.Counts()["hot"]; got.Failed != tt.failed || got.Done != 1-tt.failed {
				t.Errorf("visits %+v, want %d failed of 1", got, tt.failed)
			}
		})
	}
}

// TestBalancer checks that errors of a load balancer itself break no promise: their
// outcome is unknown.
func TestBalancer(t *testing.T) {
	t.Parallel()
	node := newLiar(t, func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusBadGateway) })
	a := newAuditor(t)
	front := audit.Balancer(node.URL())
	a.Create(t.Context(), front, "spring")
	a.Visit(t.Context(), "hot", front, "spring")
	if broken := a.Promises(); len(broken) > 0 || a.Counts()["hot"].Failed != 1 {
		t.Errorf("promises broken: %q, visits %+v; want no broken promise and one failed visit", broken, a.Counts()["hot"])
	}
}

// TestRepeat checks that an edit is sent again when its connection closes, and that an
// edit which the first attempt has already done counts as acknowledged.
func TestRepeat(t *testing.T) {
	t.Parallel()
	node := newLiar(t, redirect)
	var edits []string
	var target string
	node.Config.Handler.(*http.ServeMux).HandleFunc("PATCH /api/v1/links/{code}", func(w http.ResponseWriter, r *http.Request) {
		edits = append(edits, r.Header.Get("If-Match")+r.Header.Get("Idempotency-Key"))
		var in struct{ URL string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if len(edits) == 1 {
			target = in.URL
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusPreconditionFailed)
	})
	node.Config.Handler.(*http.ServeMux).HandleFunc("GET /api/v1/links/{code}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"code":%q,"url":%q,"version":2}`, r.PathValue("code"), target)
	})
	a := newAuditor(t)
	a.Create(t.Context(), node, "spring")
	a.Edit(t.Context(), node, "spring")
	if broken, failed := a.Promises(), a.Failures(1); len(broken) > 0 || len(failed) > 0 {
		t.Errorf("promises broken: %q, failed: %q, want none", broken, failed)
	}
	if !slices.Equal(edits, []string{`"1"`, `"1"`}) {
		t.Errorf("edits %q, want the same edit twice without an Idempotency-Key", edits)
	}
}

// TestOptions checks that New reports all missing options.
func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := audit.New(audit.Options{})
	if err == nil || !strings.Contains(err.Error(), "ShardOf") || !strings.Contains(err.Error(), "DSNs") {
		t.Errorf("New without options = %v, want an error that names ShardOf and DSNs", err)
	}
}
