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
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(signalled, func() {
		stop() // a second signal ends the process at once, from before anybody is told of the first
		cancel()
	})
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
