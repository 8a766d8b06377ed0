// Command terse is a URL shortener in one binary: the server and the tools of
// its operator. This package reads flags, environment and files, and wires the
// parts together; what they do is in the packages that it calls.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent lets the heap grow to five times what is in use. Redirects keep
// little and drop much, so collecting half as often as at 200 was worth a twentieth of
// their rate, and less often than this nothing more. GOGC in the environment overrides
// it.
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

// stopSignal returns a context that ends with the first signal that stops the process.
// SIGHUP is such a signal: it comes from a terminal that closes, and there is nothing
// to reload, since settings change by a restart and files are followed. It stops
// nothing under nohup.
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
		stop() // before anything is logged or answered because of the first signal
		end()
	})
	return ended
}
