// Command hostile sends requests that no honest client sends to a server that it
// starts, over connections of its own, and holds that none is answered by a 5xx and
// that the server is afterwards as large as before: goroutines, metric series.
//
// It is no load test, and no search for new kinds: that is the fuzz target of
// package api, which is guided by what the code does.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/terse/terse/store/storetest/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes a command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("hostile", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binary := flags.String("terse", "bin/terse", "the server to start")
	n := flags.Int("n", 1_000_000, "requests")
	seed := flags.Uint64("seed", 1, "the same seed makes the same requests")
	within := flags.Duration("within", 10*time.Minute, "give up after this")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, *within)
	defer cancel()
	node, err := servers.StartTerse(ctx, servers.TerseOptions{Binary: *binary, Settings: settings})
	if err != nil {
		fmt.Fprintln(stderr, "hostile:", err)
		return 1
	}
	defer func() { _ = node.Close() }()
	r, err := storm(ctx, node, *n, *seed)
	if err == nil {
		r.print(stdout)
		err = r.err()
	}
	if err != nil {
		fmt.Fprintln(stderr, "hostile:", err)
		return 1
	}
	return 0
}

// settings leave the limits on but for creates, so that these reach the database.
var settings = map[string]string{"limit_create_anonymous": "off", "limit_unknown": "off", "log_level": "error"}
