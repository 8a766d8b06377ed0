//go:build unix

package testenv_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// keepAll is a configuration that caches every answer for a minute.
const keepAll = `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "PORT"; }
sub vcl_backend_response { set beresp.ttl = 1m; }
`

// newOrigin starts an HTTP server that counts requests.
func newOrigin(t *testing.T) (port string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "kept")
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, asked
}

// fetch gets url over a new connection and returns the body.
func fetch(t *testing.T, url string, timeout time.Duration) (string, error) {
	t.Helper()
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func TestVarnish(t *testing.T) {
	t.Parallel()
	port, asked := newOrigin(t)
	v := testenv.NewVarnish(t, strings.Replace(keepAll, "PORT", port, 1))
	wantKept := func(requests int64) {
		t.Helper()
		body, err := fetch(t, v.URL()+"/page", 10*time.Second)
		if err != nil || body != "kept" || asked.Load() != requests {
			t.Errorf("page = %q, %v after %d requests, want kept after %d", body, err, asked.Load(), requests)
		}
	}
	asked.Store(0) // the check for readiness made requests too
	wantKept(1)
	wantKept(1)

	if err := v.Freeze(); err != nil {
		t.Fatal(err)
	}
	if body, err := fetch(t, v.URL()+"/page", 200*time.Millisecond); err == nil {
		t.Errorf("a frozen server answers %q", body)
	}
	if err := v.Thaw(); err != nil {
		t.Fatal(err)
	}
	wantKept(1)

	if err := v.Kill(); err != nil {
		t.Fatal(err)
	}
	if body, err := fetch(t, v.URL()+"/page", 10*time.Second); err == nil {
		t.Errorf("a killed server answers %q", body)
	}
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked.Store(0)
	wantKept(1)
	if err := v.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestVarnishThatCannotStart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ vcl, want string }{
		"broken configuration": {"vcl 4.1;\nbackend default none;\nsub vcl_recv { nonsense; }\n", "nonsense"},
		"missing vmod":         {"vcl 4.1;\nimport nosuch;\nbackend default none;\n", "apt-get install varnish-modules"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := testenv.StartVarnish(t.Context(), testenv.VarnishOptions{VCL: tt.vcl})
			if err == nil {
				t.Fatalf("StartVarnish() = nil, want an error; Close() = %v", v.Close())
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("StartVarnish() = %v, want it to say %q", err, tt.want)
			}
		})
	}
}
