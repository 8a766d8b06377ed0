package api_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/api/ratelimit"
)

// guessTimes is the limit of wrong passwords of a network, as a multiple of one client's limit.
const guessTimes = 4

// TestSitesAreLimited checks that the 65,536 clients of a /48 network together get 16 times
// the limit of one client, for every call. For guesses of passwords they get less.
func TestSitesAreLimited(t *testing.T) {
	t.Parallel()
	const each = 5
	for name := range limitedCalls(newServer(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limitsOf(t, fmt.Sprint(each, "/1h")))
			tt := limitedCalls(s)[name]
			call := func(client string) int { return tt.call("X-Forwarded-For", client).status }
			times := ratelimit.NetworkTimes
			if tt.name == "guess" {
				times = guessTimes
			}
			const networks = 2 * ratelimit.NetworkTimes
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
					t.Errorf("%s beyond the limit of a /64 network is not limited", name)
				}
			}
			if want := each * times; allowed != want || limited != each*networks-want {
				t.Errorf("one /48 network: %d calls were allowed and %d limited, want %d and %d", allowed, limited, want, each*networks-want)
			}
			for _, stranger := range []string{"2001:db8:2::1", "198.51.100.1"} {
				if got := call(stranger); got != tt.done {
					t.Errorf("%s of %s, its first request, = %d, want %d", name, stranger, got, tt.done)
				}
			}
		})
	}
}

// TestUnlistedProxyIsTold checks that requests of a proxy that is not trusted are counted,
// and logged once.
func TestUnlistedProxyIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		trusted []string
		headers []string
		noticed bool
	}{
		{"an unlisted proxy", nil, []string{"X-Forwarded-For", "198.51.100.7"}, true},
		{"another is listed", []string{"10.0.0.0/8"}, []string{"X-Forwarded-For", "198.51.100.7"}, true},
		{"a listed proxy", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For", "198.51.100.7"}, false},
		{"a listed proxy and a private client", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For", "10.0.0.7"}, false},
		{"no proxy", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer // needs no lock: the requests are sequential
			s := newServer(t, func(o *options) {
				o.Clients, o.Logger = proxies(t, tt.trusted...), slog.New(slog.NewTextHandler(&log, nil))
			})
			for range 3 {
				s.create(`{"url":"https://example.com"}`, tt.headers...)
			}
			s.Close()
			counted, lines := 0, 0
			if tt.noticed {
				counted, lines = 3, 1
			}
			want := fmt.Sprintf(`# HELP terse_client_unlisted_proxy_total Requests with X-Forwarded-For from a private address that is not a trusted proxy. Counted only if the client's address was needed. All clients of such a proxy share one rate limit.
# TYPE terse_client_unlisted_proxy_total counter
terse_client_unlisted_proxy_total %d
`, counted)
			if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "terse_client_unlisted_proxy_total"); err != nil {
				t.Error(err)
			}
			if got := strings.Count(log.String(), "peer=127.0.0.1"); got != lines {
				t.Errorf("the log names the proxy %d times, want %d: %s", got, lines, log.String())
			}
		})
	}
}
