package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestFloodOfUnknownCodes checks that every link still redirects while many clients request
// five invented codes for each visit of a link. An invented code returns 404 or 429.
func TestFloodOfUnknownCodes(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const clients, codes, links = 20, 200, 40
	p := start(t, "TERSE_TRUSTED_PROXIES=127.0.0.1/32,::1/128")
	c := client(t)
	ask := func(from, code string) int {
		r, err := http.NewRequest(http.MethodGet, p.url+"/"+code, nil)
		must(t, err)
		r.Header.Set("X-Forwarded-For", from)
		response, err := c.Do(r)
		if err != nil {
			t.Errorf("a request in the flood: %v", err)
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	var live []string
	for i := range links {
		code, err := shorten(c, p.url, fmt.Sprintf("https://example.com/%d", i))
		must(t, err)
		live = append(live, code)
	}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := range codes {
				if got := ask(fmt.Sprintf("203.0.113.%d", i), fmt.Sprintf("none-%d-%d", i, n)); got != http.StatusNotFound && got != http.StatusTooManyRequests {
					t.Errorf("an invented code = %d, want 404 or 429", got)
				}
				if n%5 > 0 {
					continue
				}
				if got := ask(fmt.Sprintf("198.51.100.%d", n), live[(i+n)%links]); got != http.StatusFound {
					t.Errorf("a link in the flood = %d, want 302", got)
				}
			}
		})
	}
	all.Wait()
}
