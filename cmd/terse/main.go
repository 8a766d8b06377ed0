// Command terse is a URL shortener in one binary: the server and the operator's tools.
// This package reads flags, environment and files, and connects the other packages. The
// behavior of the server is in those packages.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent lets the heap grow to five times the memory in use. Redirects allocate much
// and keep little: 400 gave 5 % more redirects a second than 200, and higher values gave
// no further gain. GOGC in the environment overrides it.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		limitMemory(memlimit.FromCgroup)
	}
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(stopSignal(), cancel)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// stopSignal returns a context that ends with the first SIGTERM, SIGINT or SIGHUP. SIGHUP
// stops the process because it means that the terminal was closed. It does not reload:
// settings change by a restart, and the server watches its files. Under nohup, SIGHUP is
// ignored.
//
// A second SIGTERM or Ctrl-C ends the process at once. A second SIGHUP does nothing: a
// shell and its terminal may each send one, and systemd may send one after SIGTERM.
func stopSignal() context.Context {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signalled, stop := signal.NotifyContext(context.Background(), signals...)
	ended, end := context.WithCancel(context.Background())
	context.AfterFunc(signalled, func() {
		signal.Ignore(syscall.SIGHUP)
		stop() // before the process logs or answers anything about the first signal
		end()
	})
	return ended
}
