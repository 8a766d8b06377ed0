//go:build unix

// Command ratio compares Terse with yardsticks: servers that do only the same basic work.
// Both sides are processes on loopback. Clients of the same cost load them in turn in the
// same run, so that the reported ratio depends little on the machine.
//
// With -profile it measures nothing and writes the profile for compiling Terse.
//
// It starts all servers that it needs, Postgres included, and removes them at the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ratio:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	terse       string
	profile     string
	only        string
	rounds      int
	turn        time.Duration
	links       int
	large       int
	shardRounds int
	shardTurn   time.Duration
}

// part is one measurement.
type part struct {
	name    string
	measure func(ctx context.Context, b *bench) ([]figure, error)
}

// parts returns all parts. Their order matters: links are measured before other links
// are added.
func parts() []part {
	return []part{
		{"l1", measureHit},
		{"domains", measureDomains},
		{"tls", measureTLS},
		{"redis", measureRedis},
		{"bytes", measureBytes},
		{"cold", measureCold},
		{"zipf", measureZipf},
		{"large", measureLarge},
		{"create", measureCreate},
		{"clicks", measureClicks},
		{"stats", measureStats},
	}
}

func run(ctx context.Context) error {
	var o options
	bare := flag.String("bare", "", "serve the bare handler with the headers in this JSON object (used by the command itself)")
	var bareTLS pair
	flag.StringVar(&bareTLS.certificate, "bare-certificate", "", "serve the bare handler by HTTPS with this file (used by the command itself)")
	flag.StringVar(&bareTLS.key, "bare-key", "", "the private key of bare-certificate (used by the command itself)")
	flag.StringVar(&o.terse, "terse", "bin/terse", "the binary to measure")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the binary under load to this file, and measure nothing")
	flag.StringVar(&o.only, "only", "l1,domains,tls,redis,bytes,cold,zipf,large,create,clicks,stats", "the parts to measure, separated by commas")
	flag.IntVar(&o.rounds, "rounds", 20, "rounds of l1, domains, tls, redis and clicks; each round loads both sides once, in changing order")
	flag.DurationVar(&o.turn, "turn", 500*time.Millisecond, "how long a round of l1, domains, tls, redis and clicks loads each side")
	flag.IntVar(&o.links, "links", 1_000_000, "links in the shard of bytes, cold, zipf and create")
	flag.IntVar(&o.large, "links-large", 1_000_000, "links in the larger shard of large; 10000000 need 5 GB and some minutes more")
	flag.IntVar(&o.shardRounds, "shard-rounds", 15, "rounds of the other parts")
	flag.DurationVar(&o.shardTurn, "shard-turn", time.Second, "how long a round of the other parts loads each side, in whole seconds")
	flag.Parse()
	if *bare != "" {
		return serveBare(ctx, *bare, bareTLS)
	}
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	return measure(ctx, o, chosen)
}

// choose returns the parts with these names.
func choose(names string) ([]part, error) {
	wanted := strings.Split(names, ",")
	var chosen []part
	for _, p := range parts() {
		if i := slices.Index(wanted, p.name); i >= 0 {
			chosen = append(chosen, p)
			wanted = slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("-only: there is no part %q, or it is listed twice", wanted[0])
	}
	return chosen, nil
}

// measure prints the result of each part when it ends, and all figures at the end. With
// -profile it writes a profile instead.
func measure(ctx context.Context, o options, chosen []part) error {
	b := newBench(o)
	defer b.close()
	if o.profile != "" {
		return writeProfile(ctx, b, o.profile)
	}
	var figures []figure
	for _, p := range chosen {
		found, err := p.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		figures = append(figures, found...)
	}
	return report(figures)
}
