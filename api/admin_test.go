package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/api"
)

// TestAdminHosts checks that the admin listener answers only for addresses, localhost and its
// own names. A name that a stranger chose may have begun to resolve to this machine.
func TestAdminHosts(t *testing.T) {
	t.Parallel()
	h := api.Admin(new(api.Health), prometheus.NewRegistry(), []string{"node1", "admin.example"})
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9090": 200, "LOCALHOST.": 200, "127.0.0.1": 200, "127.0.0.1:9090": 200, "[::1]:9090": 200, "[::1]": 200,
		"10.1.2.3:9090": 200, "node1:9090": 200, "node1": 200, "Admin.Example.:9090": 200, "": 200,
		"rebound.example": 421, "rebound.example:9090": 421, "localhost.rebound.example": 421, "127.0.0.1.rebound.example:9090": 421,
		"node1.rebound.example": 421, "node2:9090": 421, "example": 421, "[rebound.example]:9090": 421, "a:b:c": 421,
	} {
		for _, path := range []string{"/livez", "/metrics", "/debug/pprof/cmdline"} {
			r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s with Host %q = %d, want %d", path, host, w.Code, want)
			}
		}
	}
}
