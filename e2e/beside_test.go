//go:build unix

package e2e_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// slowFlush makes a commit take 50 ms: it waits for a standby that applies changes 50 ms late.
var slowFlush = testenv.ClusterOptions{Replicas: 1, Sync: true, Settings: map[string]string{
	"synchronous_commit": "remote_apply", "recovery_min_apply_delay": "50ms",
}}

// TestReadersBesideWriters checks that a lone user's lists, QR codes, histories and reads of
// a link are answered while an import and many creates wait for a slow disk.
func TestReadersBesideWriters(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const importers, perBatch, creators, rounds = 8, 250, 8, 60
	f := newFleet(t, 1, slowFlush)
	a := newAuditor(f, f.newKey(0))
	node := f.serve("TERSE_LIMIT_CREATE_ANONYMOUS=off", "TERSE_LIMIT_CREATE_TOTAL=off")
	own := node.url + "/api/v1/links/" + a.seed(20, a.authorization()...)[0][0]
	var (
		writers            sync.WaitGroup
		stop               atomic.Bool
		imported, created  atomic.Int64
		refused, unwritten atomic.Int64
	)
	for range importers {
		writers.Go(func() {
			for !stop.Load() {
				links := make([]map[string]string, perBatch)
				for i := range links {
					links[i] = map[string]string{"url": newTarget()}
				}
				got, err := a.send(http.MethodPost, node.url+"/api/v1/links/batch", map[string]any{"links": links}, a.authorization()...)
				if err == nil && got.status == http.StatusOK {
					imported.Add(perBatch)
				} else {
					unwritten.Add(1)
				}
			}
		})
	}
	for range creators {
		writers.Go(func() {
			for !stop.Load() {
				got, err := a.send(http.MethodPost, node.url+"/api/v1/links", map[string]string{"url": newTarget()})
				if err == nil && got.status == http.StatusCreated {
					created.Add(1)
				} else {
					unwritten.Add(1)
				}
			}
		})
	}
	testenv.Await(t, "the writers", func() bool { return imported.Load() >= 4*perBatch && created.Load() >= 4*creators })
	asked := 0
	for range rounds {
		for what, url := range map[string]string{
			"a list": node.url + "/api/v1/links?limit=20", "a link": own, "a QR code": own + "/qr", "a history": own + "/history",
		} {
			asked++
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			must(t, err)
			request.Header.Set(a.authorization()[0], a.authorization()[1])
			response, err := http.DefaultClient.Do(request)
			must(t, err)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				refused.Add(1)
				if refused.Load() < 5 {
					t.Errorf("%s beside an import and creates = %d, want 200", what, response.StatusCode)
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop.Store(true)
	writers.Wait()
	t.Logf("%d of %d reads were refused beside %d imported links, %d creates and %d failed writes",
		refused.Load(), asked, imported.Load(), created.Load(), unwritten.Load())
	if n := unwritten.Load(); n > 0 {
		t.Errorf("%d imports or creates failed, want none", n)
	}
}
