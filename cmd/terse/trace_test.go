//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/terse/terse/internal/testenv"
)

// spans is a collector: it receives spans by OTLP over HTTP.
type spans struct {
	url string

	mu  sync.Mutex
	raw []byte
	all []*tracepb.Span
}

func newSpans(t *testing.T) *spans {
	t.Helper()
	s := &spans{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.raw = append(s.raw, body...)
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				s.all = append(s.all, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// TestTraces checks that the server exports spans of requests and Redis commands without
// codes and secrets. The trace of a trusted proxy is continued, and logs name it.
func TestTraces(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		t.Run(fmt.Sprintf("trusted=%v", trusted), func(t *testing.T) {
			t.Parallel()
			s := newSpans(t)
			redis := testenv.NewRedis(t, testenv.RedisOptions{})
			settings := []string{"TERSE_OTLP_ENDPOINT=" + s.url, "TERSE_ACCESS_LOG_SAMPLE=1", "TERSE_REDIS_URL=" + redis.URL()}
			if trusted {
				settings = append(settings, "TERSE_TRUSTED_PROXIES=127.0.0.0/8,::1/128")
			}
			p := start(t, dataDir(t), settings...)
			c := client(t)
			const secret, traceID, parent = "s3cr3t", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
			code, err := shorten(c, p.url, "https://example.com/?token="+secret)
			must(t, err)
			r, err := http.NewRequest(http.MethodGet, p.url+"/"+code+"?"+secret, http.NoBody)
			must(t, err)
			r.Header.Set("Traceparent", "00-"+traceID+"-"+parent+"-01")
			response, err := c.Do(r)
			must(t, err)
			must(t, response.Body.Close())
			if status := p.stop(); status != 0 {
				t.Errorf("terse serve ended with %d: %s", status, p.log)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			var requests, commands, continued int
			for _, span := range s.all {
				switch {
				case span.GetKind() == tracepb.Span_SPAN_KIND_SERVER:
					requests++
				default:
					commands++
				}
				if fmt.Sprintf("%x", span.GetTraceId()) == traceID && fmt.Sprintf("%x", span.GetParentSpanId()) == parent {
					continued++
				}
			}
			if requests != 2 || commands == 0 || (continued == 1) != trusted {
				t.Errorf("exported %d requests, %d commands and %d spans that continue the trace, want 2, some, and one if the proxy is trusted", requests, commands, continued)
			}
			if bytes.Contains(s.raw, []byte(secret)) || bytes.Contains(s.raw, []byte(code)) {
				t.Error("spans contain secrets")
			}
			if log := p.log.String(); strings.Contains(log, "trace_id="+traceID) != trusted || !strings.Contains(log, "trace_id=") || strings.Contains(log, secret) {
				t.Errorf("the log must contain trace ids, the id of the proxy only if it is trusted, and no secrets: %s", log)
			}
		})
	}
}

// TestTracesOfStatements checks that SQL statements on shards are exported too, without their
// parameters.
func TestTracesOfStatements(t *testing.T) {
	t.Parallel()
	s := newSpans(t)
	_, setting := testenv.NewShards(t, 1, testenv.ClusterOptions{})
	shards := "TERSE_SHARDS=" + setting
	terse(t, []string{shards}, "migrate", "up").want(t, "migrate up", 0)
	p := start(t, dataDir(t), "TERSE_OTLP_ENDPOINT="+s.url, shards, "TERSE_CODE_KEY=aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=")
	token := strings.TrimPrefix(p.newKey("links:read", shards)[1], "TERSE_API_KEY=")
	for range 3 {
		ask(t, client(t), http.MethodGet, p.url+"/api/v1/links?q=s3cr3t", "", "", "Authorization", "Bearer "+token)
	}
	testenv.Await(t, "spans of statements", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if bytes.Contains(s.raw, []byte("s3cr3t")) {
			t.Fatal("spans contain secrets")
		}
		return bytes.Contains(s.raw, []byte("postgresql"))
	})
}
