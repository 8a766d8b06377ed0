package api_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/ratelimit"
)

// TestSitesAreLimited holds that whoever has a network of 48 bits, and so 65,536
// clients, is allowed what 16 of them are, whatever they do.
func TestSitesAreLimited(t *testing.T) {
	t.Parallel()
	const each = 5
	s := newServer(t, func(o *api.Options) {
		o.Clients = proxies(t, "127.0.0.1/32")
		o.Limits.CreateAnonymous, o.Limits.Unknown = limit(t, fmt.Sprintf("%d/1h", each)), limit(t, fmt.Sprintf("%d/1h", each))
	})
	for name, call := range map[string]func(client string) int{
		"create": func(client string) int {
			return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`, "X-Forwarded-For", client).status
		},
		"unknown code": func(client string) int { return s.get("/nothing", "X-Forwarded-For", client).status },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			allowed, limited := 0, 0
			for network := range 2 * ratelimit.SiteTimes {
				for i := range each {
					switch got := call(fmt.Sprintf("2001:db8:1:%x::%x", network, i+1)); got {
					case http.StatusCreated, http.StatusNotFound:
						allowed++
					case http.StatusTooManyRequests:
						limited++
					default:
						t.Fatalf("%s = %d, want it done or limited", name, got)
					}
				}
				if network == 0 && call("2001:db8:1:0:ffff::") != http.StatusTooManyRequests {
					t.Errorf("%s beyond the limit of 64 bits is not limited", name)
				}
			}
			if want := each * ratelimit.SiteTimes; allowed != want || limited != want {
				t.Errorf("%d were done and %d limited of one site, want %d and %[3]d", allowed, limited, want)
			}
			for _, stranger := range []string{"2001:db8:2::1", "198.51.100.1"} {
				if got := call(stranger); got == http.StatusTooManyRequests {
					t.Errorf("%s of %s, who has asked for nothing, is limited", name, stranger)
				}
			}
		})
	}
}

// TestUnlistedProxyIsTold holds that a proxy which is not listed shows in a metric,
// and once in the log.
func TestUnlistedProxyIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		trusted []string
		headers []string
		told    bool
	}{
		{"an unlisted proxy", nil, []string{"X-Forwarded-For", "198.51.100.7"}, true},
		{"another is listed", []string{"10.0.0.0/8"}, []string{"X-Forwarded-For", "198.51.100.7"}, true},
		{"a listed proxy", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For", "198.51.100.7"}, false},
		{"a listed proxy and a private client", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For", "10.0.0.7"}, false},
		{"no proxy", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer // of one request after the other
			s := newServer(t, func(o *api.Options) {
				o.Clients, o.Logger = proxies(t, tt.trusted...), slog.New(slog.NewTextHandler(&log, nil))
			})
			for range 3 {
				s.create(`{"url":"https://example.com"}`, tt.headers...)
			}
			s.Close()
			counted, lines := 0, 0
			if tt.told {
				counted, lines = 3, 1
			}
			want := fmt.Sprintf(`# HELP terse_client_unlisted_proxy_total Requests from a private address that hands on X-Forwarded-For and is no trusted proxy, as far as the client's address was needed. Its clients share their limits.
# TYPE terse_client_unlisted_proxy_total counter
terse_client_unlisted_proxy_total %d
`, counted)
			if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "terse_client_unlisted_proxy_total"); err != nil {
				t.Error(err)
			}
			if got := strings.Count(log.String(), "peer=127.0.0.1"); got != lines {
				t.Errorf("the log tells of the proxy %d times, want %d: %s", got, lines, log.String())
			}
		})
	}
}
