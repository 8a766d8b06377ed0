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

// guessTimes is how many times the guesses of one client a site may make at a link.
const guessTimes = 4

// TestSitesAreLimited holds that whoever has a network of 48 bits, and so 65,536
// clients, is allowed what 16 of them are, whatever they do, and less of guesses.
func TestSitesAreLimited(t *testing.T) {
	t.Parallel()
	const each = 5
	for name := range limitedCalls(newServer(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limitsOf(t, fmt.Sprint(each, "/1h")))
			tt := limitedCalls(s)[name]
			call := func(client string) int { return tt.call("X-Forwarded-For", client).status }
			times := ratelimit.SiteTimes
			if tt.name == "guess" {
				times = guessTimes
			}
			const networks = 2 * ratelimit.SiteTimes
			allowed, limited := 0, 0
			for network := range networks {
				for i := range each {
					switch got := call(fmt.Sprintf("2001:db8:1:%x::%x", network, i+1)); got {
					case tt.done:
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
			if want := each * times; allowed != want || limited != each*networks-want {
				t.Errorf("%d were done and %d limited of one site, want %d and %d", allowed, limited, want, each*networks-want)
			}
			for _, stranger := range []string{"2001:db8:2::1", "198.51.100.1"} {
				if got := call(stranger); got != tt.done {
					t.Errorf("%s of %s, who has asked for nothing, = %d, want %d", name, stranger, got, tt.done)
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
