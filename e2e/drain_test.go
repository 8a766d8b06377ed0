//go:build unix

package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

// balanced visits a link as clients behind a load balancer do.
type balanced struct {
	node     *program
	client   *http.Client
	ready    atomic.Bool  // the last result of /readyz
	answered atomic.Int64 // redirects
	closing  atomic.Int64 // redirects with Connection: close
	failed   atomic.Pointer[string]
	wg       sync.WaitGroup
}

// balance starts visits by several clients. They end when the node is not ready.
func balance(t *testing.T, node *program, code string) *balanced {
	t.Helper()
	b := &balanced{node: node, client: client(t)}
	t.Cleanup(b.client.CloseIdleConnections)
	b.ready.Store(true)
	b.wg.Go(func() {
		for b.ready.Load() {
			status, _ := node.ask("/readyz")
			b.ready.Store(status == http.StatusOK)
			time.Sleep(5 * time.Millisecond)
		}
	})
	for range 8 {
		b.wg.Go(func() {
			for b.ready.Load() {
				b.visit(code)
			}
		})
	}
	return b
}

func (b *balanced) visit(code string) {
	response, err := b.client.Get(b.node.url + "/" + code)
	if err != nil {
		text := err.Error()
		b.failed.Store(&text)
		return
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusFound {
		b.failed.Store(&response.Status)
		return
	}
	b.answered.Add(1)
	if response.Close {
		b.closing.Add(1)
	}
}

// terminate stops the node with SIGTERM, and waits until all clients have ended.
func (b *balanced) terminate(t *testing.T) {
	t.Helper()
	must(t, b.node.Signal(syscall.SIGTERM))
	b.wg.Wait()
	if failed := b.failed.Load(); failed != nil {
		t.Errorf("a visit failed: %s", *failed)
	}
}

// hang opens a connection and sends an incomplete request.
func (p *program) hang() {
	p.t.Helper()
	if _, err := io.WriteString(p.dial(), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nu"); err != nil {
		p.t.Fatal(err)
	}
}

// TestDrain checks that a node under load stops without a failed request and without a lost
// click, behind a load balancer that follows /readyz. It holds with a hanging client too.
func TestDrain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		hangs bool
	}{{"quick clients", false}, {"a client that hangs", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "TERSE_DRAIN_DELAY=4s", "TERSE_DRAIN_TIMEOUT=9s")
			c := client(t)
			code, err := shorten(c, p.url, "https://example.com/")
			must(t, err)
			b := balance(t, p, code)
			testenv.Await(t, "visits", func() bool { return b.answered.Load() >= 500 })
			if tt.hangs {
				p.hang() // ends later than the drain: the server waits 10 s for a body
			}
			b.terminate(t)
			if _, body := p.ask("/readyz"); !strings.Contains(body, "[-] not-draining: ") || !strings.Contains(body, "[+] started: ok") {
				t.Errorf("/readyz of a stopping node = %q", body)
			}
			if status, _ := p.ask("/livez"); status != http.StatusOK {
				t.Errorf("/livez of a stopping node = %d, want 200", status)
			}
			for range 10 { // clients that have not noticed
				b.visit(code)
			}
			if failed := b.failed.Load(); failed != nil || b.closing.Load() < 10 {
				t.Errorf("%d responses of a stopping node have Connection: close, want at least 10; failed: %v", b.closing.Load(), failed)
			}
			if err := p.Wait(); (err != nil) != tt.hangs {
				t.Errorf("after SIGTERM terse ended with %v: %s", err, p.Log())
			}
			if got := p.clicksOf(code); got != b.answered.Load() {
				t.Errorf("clicks = %d, want %d, one for each redirect; log %s", got, b.answered.Load(), p.Log())
			}
		})
	}
}

// TestDrainReleasesNodeID checks that another node can use the node id at once, even when a
// client hung until the end.
func TestDrainReleasesNodeID(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	settings := []string{"TERSE_NODE_ID=7", "TERSE_DRAIN_DELAY=2s", "TERSE_DRAIN_TIMEOUT=10s"}
	first := f.serve(settings...)
	a := newAuditor(f, "")
	code := a.create(first, "")
	first.hang()
	b := balance(t, first, code)
	testenv.Await(t, "visits", func() bool { return b.answered.Load() >= 200 })
	b.terminate(t)
	_ = first.Wait() // the client was cut off, which is an error
	second := f.serve(settings...)
	if a.create(second, "") == "" {
		t.Errorf("the second node creates nothing, log of the first: %s", first.Log())
	}
	clicks := query(f, f.shardOf(code), pgx.RowTo[int64], "select coalesce(sum(total), 0)::bigint from click_totals where code = $1", code)
	if clicks[0] != b.answered.Load() {
		t.Errorf("clicks = %d, want %d, one for each redirect", clicks[0], b.answered.Load())
	}
}

// TestDrainKeepsToItsBudget checks that the process ends in time while the database hangs,
// and that it logs the clicks it lost.
func TestDrainKeepsToItsBudget(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{})
	p := f.serve("TERSE_DRAIN_DELAY=0s", "TERSE_DRAIN_TIMEOUT=4s")
	a := newAuditor(f, "")
	code := a.create(p, "")
	a.visit("warm", p, code)
	must(t, f.shards[0].Primary().Freeze())
	a.visit("lost", p, code)
	must(t, p.Signal(syscall.SIGTERM))
	last := time.AfterFunc(time.Minute, func() { _ = p.Kill() })
	err := p.Wait()
	if !last.Stop() || err == nil || !strings.Contains(p.Log(), "clicks lost at shutdown") {
		t.Errorf("terse ended with %v, want an error before a minute has passed and the lost clicks in the log: %s", err, p.Log())
	}
	must(t, f.shards[0].Primary().Thaw())
}

// TestSecondSignalEndsAtOnce checks that a second SIGTERM ends the process without draining.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, "TERSE_DRAIN_DELAY=10m", "TERSE_DRAIN_TIMEOUT=20m")
	must(t, p.Signal(syscall.SIGTERM))
	p.logged(`msg=(stopping)`)
	must(t, p.Signal(syscall.SIGTERM))
	err := p.Wait()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("after a second SIGTERM terse ended with %v, want SIGTERM", err)
	}
}

// TestReadiness checks that a started node stays ready while Redis and the shards are down.
// A node that has reached no shard is not ready, and /readyz names the failed checks.
func TestReadiness(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	f := newFleet(t, 2, testenv.ClusterOptions{Replicas: 1})
	f.environ = append(f.environ, "TERSE_REDIS_URL="+redis.URL())
	p := f.serve()
	stays := func(what string) {
		t.Helper()
		for range 20 {
			if status, body := p.ask("/readyz"); status != http.StatusOK {
				t.Fatalf("/readyz with %s = %d %s, want 200", what, status, body)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	must(t, redis.Kill())
	stays("Redis down")
	f.killShard(0)
	stays("Redis and a shard down")
	f.killShard(1)
	stays("everything down")

	late := startBy(t, testenv.TerseOptions{Environment: f.environOfNode(), Unready: true})
	testenv.Await(t, "the end of the start", func() bool {
		_, body := late.ask("/readyz")
		return strings.Contains(body, "[+] started: ok")
	})
	if status, body := late.ask("/readyz"); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, "[+] started: ok") || !strings.Contains(body, "[-] schema: shard s1: ") || !strings.Contains(body, "[-] map: ") {
		t.Errorf("/readyz of a node that has reached no shard = %d %s", status, body)
	}
	if status, _ := late.ask("/livez"); status != http.StatusOK {
		t.Errorf("/livez of a node that has reached no shard = %d, want 200", status)
	}
	if late.metric("terse_ready") != 0 || p.metric("terse_ready") != 1 {
		t.Error("terse_ready differs from /readyz")
	}
	must(t, f.shards[1].Primary().Start(t.Context()))
	testenv.Await(t, "the map", func() bool {
		status, _ := late.ask("/readyz")
		return status == http.StatusOK
	})
}
