//go:build unix

// Command faults runs the production topology on this machine, breaks parts of it under
// load, and compares every response and every database with a log of the acknowledged
// writes:
//
//	rolling	three rolling restarts of all nodes: no request may fail, no click may be lost
//	kills	SIGKILL to a node, a replica, Redis and a primary; its standby is promoted
//	standby	cut off a standby so that commits wait, then kill the primary and promote the standby
//	splitbrain	promote a standby while its primary only hangs: no node may write to the old primary
//	slowshard	let the commits of one shard hang: the other shard must continue
//	overload	four times the requests that a node can serve: redirects continue, most other requests are rejected
//	strangers	QR codes, slow bodies, slow lists, idle connections and floods of reports beside cached redirects
//
// It prints a table of results and exits with 1 when a promise was broken. It connects only
// to loopback addresses, and stops by itself.
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
	"strings"
	"syscall"
	"time"

	"github.com/terse/terse/deploy/stack/topology"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line options.
type options struct {
	binary   string
	only     []string
	requests int           // fewest requests during the rolling restarts
	rounds   int           // number of rolling restarts
	links    int           // links created before the load
	visitors int           // concurrent visitors, through nginx
	settle   time.Duration // load before, between and after faults
	within   time.Duration // time limit of each scenario
	settings topology.Settings
}

// scenarios are the scenarios in the order of their runs.
var scenarios = []string{"rolling", "kills", "standby", "splitbrain", "slowshard", "overload", "strangers"}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{settings: topology.Settings{}}
	var only string
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binary, "terse", "bin/terse", "terse binary for the nodes")
	flags.StringVar(&only, "only", strings.Join(scenarios, ","), "scenarios to run, separated by commas")
	flags.IntVar(&o.requests, "requests", 500_000, "fewest requests during the rolling restarts")
	flags.IntVar(&o.rounds, "rounds", 3, "number of rolling restarts")
	flags.IntVar(&o.links, "links", 2000, "links to create before the load")
	flags.IntVar(&o.visitors, "visitors", 16, "concurrent visitors")
	flags.DurationVar(&o.settle, "settle", 5*time.Second, "duration of the load before, between and after faults")
	flags.DurationVar(&o.within, "within", 4*time.Minute, "time limit of each scenario")
	flags.Func("set", "setting of the nodes, for example cache_size=128", o.settings.Set)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.only = strings.Split(only, ",")
	var errs []error
	for _, name := range o.only {
		if !slices.Contains(scenarios, name) {
			errs = append(errs, fmt.Errorf("-only: unknown scenario %q; the scenarios are %s", name, strings.Join(scenarios, ", ")))
		}
	}
	for name, n := range map[string]int{"requests": o.requests, "rounds": o.rounds, "links": o.links, "visitors": o.visitors} {
		if n < 1 {
			errs = append(errs, fmt.Errorf("-%s must be above zero", name))
		}
	}
	if o.settle <= 0 || o.within <= 0 {
		errs = append(errs, errors.New("-settle and -within must be above zero"))
	}
	return o, errors.Join(errs...)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "faults:", err)
		return 2
	}
	passed := true
	for _, name := range o.only {
		r := &report{name: name}
		err := runOne(ctx, o, r, stderr)
		if err != nil {
			r.fail("the run", err.Error())
		}
		r.print(stdout)
		passed = passed && r.passed()
	}
	if !passed {
		return 1
	}
	return 0
}

func runOne(ctx context.Context, o options, r *report, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	where := topology.Options{}
	if r.name == "overload" || r.name == "strangers" {
		where = oneNode
	}
	s, err := newScene(ctx, o, r, stderr, where)
	if err != nil {
		return err
	}
	play := map[string]func() error{
		"rolling": s.rolling, "kills": s.kills, "standby": s.standby, "splitbrain": s.splitBrain, "slowshard": s.slowShard, "overload": s.overload, "strangers": s.strangers,
	}[r.name]
	return errors.Join(play(), s.close())
}
