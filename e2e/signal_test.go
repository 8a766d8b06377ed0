//go:build unix

package e2e_test

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestHangupDrains checks that SIGHUP stops the server as SIGTERM does, and that the server
// answers requests while it drains. A second SIGHUP changes nothing.
func TestHangupDrains(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, dir, "TERSE_DRAIN_DELAY=1s", "TERSE_DRAIN_TIMEOUT=60s")
	c := client()
	defer c.CloseIdleConnections()
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	must(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.logged(`msg=(stopping)`)
	must(t, p.cmd.Process.Signal(syscall.SIGHUP))
	if got := location(t, c, p.url, code); got != "https://example.com/" {
		t.Errorf("Location after SIGHUP = %q", got)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGHUP terse ended with %v: %s", err, p.stderr)
	}
	if got := clicksOf(t, dir, code); got != 1 {
		t.Errorf("clicks = %d, want 1; log %s", got, p.stderr)
	}
}

// TestNohup checks that SIGHUP does not stop a server under nohup.
func TestNohup(t *testing.T) {
	t.Parallel()
	p := startBy(t, []string{"nohup"}, filepath.Join(t.TempDir(), "data"), nil)
	must(t, p.cmd.Process.Signal(syscall.SIGHUP))
	must(t, p.cmd.Process.Signal(syscall.SIGHUP))
	if status, body := p.ask("/readyz"); status != 200 {
		t.Errorf("/readyz after SIGHUP under nohup = %d %s, want 200", status, body)
	}
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM terse ended with %v: %s", err, p.stderr)
	}
}
