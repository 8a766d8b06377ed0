//go:build unix

// Command stack runs the production topology on this machine, without containers:
//
//	stack up		start everything and print the addresses
//	stack status		print the addresses
//	stack restart node2	or start, stop, kill, freeze, thaw, promote, rejoin
//	stack down		stop everything and delete its data
//
// A background process runs the servers; they end with it. That process locks a file in
// the stack's folder, so that no other process is mistaken for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/terse/terse/deploy/stack/topology"
)

func main() { os.Exit(run(signalled(), os.Args[1:], os.Stdout, os.Stderr)) }

// signalled returns a context that ends with the first SIGINT or SIGTERM. The second
// signal ends the process.
func signalled() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

const usage = `usage: stack [-dir DIR] COMMAND

  up [-terse FILE] [-shards N] [-nodes N] [-set NAME=VALUE]… [-durable]
  status [-json]
  start|stop|restart|kill|freeze|thaw PART    for example s1-a, redis, node2, nginx, varnish, prometheus
  promote|rejoin PART                         the standby of a shard, after its primary was stopped
  down
`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("stack", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	dir := flags.String("dir", "stack", "folder of the stack")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	err := command(ctx, home(*dir), flags.Args(), stdout)
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprint(stderr, usage)
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "stack:", err)
		return 1
	}
	return 0
}

var errUsage = errors.New("usage")

func command(ctx context.Context, h home, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	name, args := args[0], args[1:]
	switch {
	case name == "up" || name == "serve":
		opts, err := parseUp(name, args)
		if err != nil {
			return err
		}
		if name == "serve" {
			return h.serve(ctx, opts, stdout)
		}
		return h.up(ctx, args, stdout)
	case name == "status":
		return h.status(ctx, slices.Contains(args, "-json"), stdout)
	case name == "down" && len(args) == 0:
		return h.down(ctx, stdout)
	case slices.Contains(topology.Verbs(), name) && len(args) == 1:
		return h.do(ctx, name, args[0])
	}
	return errUsage
}

func parseUp(name string, args []string) (topology.Options, error) {
	opts := topology.Options{Settings: topology.Settings{}}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&opts.Binary, "terse", "bin/terse", "terse binary for the nodes")
	flags.IntVar(&opts.Shards, "shards", topology.DefaultShards, "number of shards, each a primary and a standby")
	flags.IntVar(&opts.Nodes, "nodes", topology.DefaultNodes, "number of nodes")
	flags.BoolVar(&opts.Durable, "durable", false, "keep acknowledged links after a power failure")
	flags.Func("set", "setting of the nodes, for example cache_size=128", opts.Settings.Set)
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, errUsage
	}
	return opts, nil
}
