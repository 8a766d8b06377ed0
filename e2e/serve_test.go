package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/terse/terse/store/sqlite"
)

func TestServeSurvivesARestart(t *testing.T) {
	t.Parallel()
	c, p := client(t), start(t)
	code, err := shorten(c, p.url, "https://example.com/1")
	must(t, err)
	if got := location(t, c, p.url, code); got != "https://example.com/1" {
		t.Errorf("Location = %q", got)
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 200, "/": 404} {
		if got, _ := p.ask(path); got != want {
			t.Errorf("admin %s = %d, want %d", path, got, want)
		}
	}
	must(t, p.Signal(syscall.SIGTERM))
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM terse ended with %v", err)
	}
	p.again()
	if got := location(t, c, p.url, code); got != "https://example.com/1" {
		t.Errorf("Location after a restart = %q", got)
	}
	if fresh, err := shorten(c, p.url, "https://example.com/2"); err != nil || fresh == code {
		t.Errorf("create after a restart = %q, %v", fresh, err)
	}
}

// TestKillDuringCreates kills the server during 2000 creates, and checks that every
// acknowledged link exists after the restart.
func TestKillDuringCreates(t *testing.T) {
	t.Parallel()
	const creates, killAfter = 2000, 700
	c := client(t)
	p := start(t)
	var (
		acknowledged sync.Map // target by code
		done         atomic.Int64
		next         atomic.Int64
		wg           sync.WaitGroup
	)
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1); i <= creates; i = next.Add(1) {
				target := fmt.Sprintf("https://example.com/%d", i)
				code, err := shorten(c, p.url, target)
				if err != nil {
					return // the server is gone
				}
				acknowledged.Store(code, target)
				if done.Add(1) == killAfter {
					_ = p.Kill()
				}
			}
		})
	}
	wg.Wait()
	_ = p.Wait()
	if n := done.Load(); n < killAfter || n == creates {
		t.Fatalf("%d creates were acknowledged, want %d to %d", n, killAfter, creates-1)
	}
	p.again()
	acknowledged.Range(func(code, target any) bool {
		if got := location(t, c, p.url, code.(string)); got != target {
			t.Errorf("%s redirects to %q after the restart, want %q", code, got, target)
		}
		return true
	})
}

// TestSlowClientTakesNoClicks checks that a slow client does not use up the time for flushing
// clicks.
func TestSlowClientTakesNoClicks(t *testing.T) {
	t.Parallel()
	p := start(t, "TERSE_DRAIN_TIMEOUT=2s")
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	slow := p.dial()
	if _, err := io.WriteString(slow, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nu"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		location(t, c, p.url, code)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // the client was cut off, which is an error
	if got := p.clicksOf(code); got != 100 {
		t.Errorf("clicks = %d, want 100, one for each redirect; log %s", got, p.Log())
	}
}

// clicksOf returns the click total of a link in the database of a stopped node.
func (p *program) clicksOf(code string) int64 {
	p.t.Helper()
	database, err := sqlite.Open(p.t.Context(), sqlite.Options{Dir: p.DataDir(), Logger: slog.New(slog.DiscardHandler)})
	must(p.t, err)
	l, err := database.Get(p.t.Context(), code)
	must(p.t, errors.Join(err, database.Close()))
	return l.Clicks
}

// TestSigtermUnderLoad checks that a stopping server finishes running requests and flushes
// all clicks.
func TestSigtermUnderLoad(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	var clicks atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				response, err := c.Get(p.url + "/" + code)
				if err != nil {
					return // the listener is closed
				}
				_ = response.Body.Close()
				if response.StatusCode == http.StatusFound && clicks.Add(1) == 500 {
					_ = p.Signal(syscall.SIGTERM)
				}
			}
		})
	}
	wg.Wait()
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM terse ended with %v: %s", err, p.Log())
	}
	if got := p.clicksOf(code); got < clicks.Load() {
		t.Errorf("clicks after SIGTERM = %d, want %d, one for each redirect", got, clicks.Load())
	}
}
