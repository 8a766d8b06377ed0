// Command ratio measures the redirect of a link that is in the in-process cache
// against a bare net/http handler that answers the same bytes. Both are servers
// of their own on loopback, loaded in turns by the same client in the same run,
// so that what is reported is a ratio and not a property of the machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ratio:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	terse := flag.String("terse", "bin/terse", "the binary to measure")
	connections := flag.Int("connections", 16, "keep-alive connections, each with one request in flight")
	rounds := flag.Int("rounds", 20, "rounds; in each both servers are loaded once, in changing order")
	turn := flag.Duration("turn", 500*time.Millisecond, "how long a server is loaded in a round")
	bare := flag.String("bare", "", "serve the bare handler with the headers in this JSON object (used by the command itself)")
	flag.Parse()
	if *bare != "" {
		return serveBare(ctx, *bare)
	}

	product, err := startTerse(ctx, *terse)
	if err != nil {
		return err
	}
	defer product.stop()
	link, err := createLink(ctx, product.url)
	if err != nil {
		return err
	}
	yardstick, err := startBare(ctx, link)
	if err != nil {
		return err
	}
	defer yardstick.stop()

	servers := [2]*load{
		newLoad("bare net/http handler", yardstick.url, "/"+link.code),
		newLoad("terse, L1 hit", product.url, "/"+link.code),
	}
	if err := sameAnswer(servers[0], servers[1]); err != nil {
		return err
	}
	ratios := make([]float64, 0, *rounds)
	for i := range *rounds + 1 {
		for j := range servers {
			if err := servers[(i+j)%2].run(ctx, *connections, *turn, i > 0); err != nil {
				return err
			}
		}
		if i > 0 { // the first round warms both up
			ratios = append(ratios, servers[1].last/servers[0].last)
		}
	}
	return report(servers, ratios)
}

func report(servers [2]*load, ratios []float64) error {
	slices.Sort(ratios)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "server\trequests\trequests/s\tratio\t")
	base := servers[0].rate()
	for _, s := range servers {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.2f\t\n", s.name, s.requests, s.rate(), s.rate()/base)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\nratio by round: median %.2f, lowest %.2f, highest %.2f of %d rounds\n",
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], len(ratios))
	return nil
}
