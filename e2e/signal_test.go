//go:build unix

package e2e_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestHangupDrains checks that SIGHUP stops the server as SIGTERM does, and that the server
// answers requests while it drains. A second SIGHUP changes nothing.
func TestHangupDrains(t *testing.T) {
	t.Parallel()
	handled := make(chan os.Signal, 1) // a node inherits an ignored SIGHUP, if the tests run under nohup, but not a handled one
	signal.Notify(handled, syscall.SIGHUP)
	defer signal.Stop(handled)
	p := start(t, "TERSE_DRAIN_DELAY=1s", "TERSE_DRAIN_TIMEOUT=60s")
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	must(t, p.Signal(syscall.SIGHUP))
	p.logged(`msg=(stopping)`)
	must(t, p.Signal(syscall.SIGHUP))
	if got := location(t, c, p.url, code); got != "https://example.com/" {
		t.Errorf("Location after SIGHUP = %q", got)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGHUP terse ended with %v: %s", err, p.Log())
	}
	if got := p.clicksOf(code); got != 1 {
		t.Errorf("clicks = %d, want 1; log %s", got, p.Log())
	}
}

// TestNohup checks that SIGHUP does not stop a server under nohup.
func TestNohup(t *testing.T) {
	t.Parallel()
	p := startBy(t, testenv.TerseOptions{Runner: []string{"nohup"}})
	must(t, p.Signal(syscall.SIGHUP))
	must(t, p.Signal(syscall.SIGHUP))
	if status, body := p.ask("/readyz"); status != 200 {
		t.Errorf("/readyz after SIGHUP under nohup = %d %s, want 200", status, body)
	}
	must(t, p.Signal(syscall.SIGTERM))
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM terse ended with %v: %s", err, p.Log())
	}
}
