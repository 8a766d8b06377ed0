//go:build unix

// Command faults runs the production topology on this machine, breaks parts of it under
// load, and holds every answer and every database to a log of what was acknowledged:
//
//	rolling	three rolling restarts of all nodes: no request may fail, no click be lost
//	kills	SIGKILL to a node, a replica, Redis and a primary, whose standby is promoted
//	standby	the way to a standby is cut, so that commits wait; the primary is killed and the standby promoted
//	slowshard	the commits of one shard hang: the other shard continues
//	overload	four times as many requests as a node can bear: redirects continue, most of the rest is refused
//
// It prints a table of figures and ends with 1 when a promise was broken. It talks to
// loopback alone, and stops by itself.
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

// options say what to run.
type options struct {
	binary   string
	only     []string
	requests int           // of the rolling restarts, at least
	rounds   int           // rolling restarts
	links    int           // created before
	visitors int           // at the same time, through nginx
	settle   time.Duration // under load before, between and after faults
	within   time.Duration // bounds each scenario
	settings topology.Settings
}

// scenarios in the order in which they run.
var scenarios = []string{"rolling", "kills", "standby", "slowshard", "overload"}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{settings: topology.Settings{}}
	var only string
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binary, "terse", "bin/terse", "the binary of the nodes")
	flags.StringVar(&only, "only", strings.Join(scenarios, ","), "scenarios, separated by commas")
	flags.IntVar(&o.requests, "requests", 500_000, "requests of the rolling restarts, at least")
	flags.IntVar(&o.rounds, "rounds", 3, "rolling restarts")
	flags.IntVar(&o.links, "links", 2000, "links that are created before")
	flags.IntVar(&o.visitors, "visitors", 16, "visitors at the same time")
	flags.DurationVar(&o.settle, "settle", 5*time.Second, "how long the load goes on before, between and after faults")
	flags.DurationVar(&o.within, "within", 4*time.Minute, "how long a scenario may take")
	flags.Func("set", "a setting of the nodes, such as cache_size=128", o.settings.Set)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.only = strings.Split(only, ",")
	var errs []error
	for _, name := range o.only {
		if !slices.Contains(scenarios, name) {
			errs = append(errs, fmt.Errorf("-only: there is no %q: %s", name, strings.Join(scenarios, ", ")))
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
	held := true
	for _, name := range o.only {
		r := &report{name: name}
		err := runOne(ctx, o, r, stderr)
		if err != nil {
			r.fail("the run itself", err.Error())
		}
		r.print(stdout)
		held = held && r.holds()
	}
	if !held {
		return 1
	}
	return 0
}

func runOne(ctx context.Context, o options, r *report, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	where := topology.Options{}
	if r.name == "overload" {
		where = oneNode
	}
	s, err := newScene(ctx, o, r, stderr, where)
	if err != nil {
		return err
	}
	play := map[string]func() error{
		"rolling": s.rolling, "kills": s.kills, "standby": s.standby, "slowshard": s.slowShard, "overload": s.overload,
	}[r.name]
	return errors.Join(play(), s.close())
}
