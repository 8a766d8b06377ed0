// Command hostile starts a server and sends it requests that no honest client sends. It
// checks that no answer is a 5xx, and that the server does not grow: goroutines and metric
// series stay the same.
//
// It is not a load test. It does not search for new kinds of requests either: the fuzz
// target of package api does.
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

	"github.com/terse/terse/internal/testenv"
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
	n := flags.Int("n", 1_000_000, "number of requests")
	seed := flags.Uint64("seed", 1, "the same seed makes the same requests")
	timeout := flags.Duration("timeout", 10*time.Minute, "stop with an error after this time")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	node, err := testenv.StartTerse(ctx, testenv.TerseOptions{Binary: *binary, Settings: settings})
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

// settings turn off the limit of creates, so that creates reach the database, and the
// limit of unknown codes.
var settings = map[string]string{"limit_create_anonymous": "off", "limit_create_total": "off", "limit_unknown": "off", "log_level": "error"}
