//go:build unix

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// TestOverload sends more creates to a frozen database than may run and wait. The server
// rejects the excess. Other classes of requests are still admitted, and creates work again
// when the database is back. The tests of api/overload check that the excess does not wait.
func TestOverload(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const crowd = 1300 // more creates than may run and wait
	f := newFleet(t, 1, testenv.ClusterOptions{Replicas: 1})
	a := newAuditor(f, f.newKey(0))
	c := client(t)
	p := f.serve()
	known := a.seed(40)[0]
	other := f.serve() // has nothing in memory
	shed := func(p *program, class string) float64 {
		return p.metric("terse_overload_requests_total", `class="`+class+`"`, `result="shed"`)
	}
	list := func(p *program) int {
		got, err := a.send(http.MethodGet, p.url+"/api/v1/links?limit=1", nil, a.authorization()...)
		must(t, err)
		return got.status
	}
	primary := f.shards[0].Primary()
	must(t, primary.Freeze())
	var (
		mu            sync.Mutex
		quick, others []time.Duration
		wg            sync.WaitGroup
	)
	for i := range crowd {
		wg.Go(func() {
			began := time.Now()
			response, err := c.Post(p.url+"/api/v1/links", "application/json",
				strings.NewReader(fmt.Sprintf(`{"url":"https://example.com/%d"}`, i)))
			if err != nil {
				t.Errorf("create under overload: %v", err)
				return
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && response.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "overloaded") {
				quick = append(quick, took)
				return
			}
			others = append(others, took)
		})
	}
	testenv.Await(t, "creates to be shed", func() bool { return shed(p, "write") > 0 })
	wantStatus(a, p, known, http.StatusFound)          // from memory
	wantStatus(a, other, known[:20], http.StatusFound) // from the replica
	for _, class := range []string{"redirect", "read", "list"} {
		if n := shed(p, class) + shed(other, class); n != 0 {
			t.Errorf("%v of class %s were shed", n, class)
		}
	}
	wg.Wait()
	must(t, primary.Thaw())
	slices.Sort(quick)
	slices.Sort(others)
	if len(quick) == 0 || len(others) == 0 {
		t.Errorf("%d creates were shed and %d were not, want some of both", len(quick), len(others))
	}
	back := testenv.Await(t, "creates and lists to work again", func() bool {
		return a.create(p, "") != "" && list(p) == http.StatusOK
	})
	t.Logf("%d of %d creates were shed, in %v in the median and %v at the 99th percentile; the others took %v in the median; creates worked again after %v",
		len(quick), crowd, percentile(quick, 50), percentile(quick, 99), percentile(others, 50), back)
}
