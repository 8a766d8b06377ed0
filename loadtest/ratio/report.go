//go:build unix

package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// figure is one line of the report.
type figure struct {
	what      string
	measured  string
	yardstick string
	ratio     spread
	aim       string
}

// spread is a ratio and its variation. Without rounds it is a single value.
type spread struct {
	ratio           float64 // of all rounds: the median, except in measureLarge
	lowest, highest float64 // of single rounds
	rounds          int
}

// ratioOf compares two sides round by round.
func ratioOf(measured, yardstick []float64) spread {
	ratios := make([]float64, len(measured))
	for i := range ratios {
		ratios[i] = measured[i] / yardstick[i]
	}
	slices.Sort(ratios)
	return spread{ratio: median(ratios), lowest: ratios[0], highest: ratios[len(ratios)-1], rounds: len(ratios)}
}

func (s spread) String() string {
	if s.rounds == 0 {
		return fmt.Sprintf("%.2f", s.ratio)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f in %d rounds)", s.ratio, s.lowest, s.highest, s.rounds)
}

// report prints all figures.
func report(figures []figure) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nWHAT\tMEASURED\tYARDSTICK\tRATIO\tAIM")
	for _, f := range figures {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.what, f.measured, f.yardstick, f.ratio, f.aim)
	}
	return w.Flush()
}

// median returns the middle value. For an even number it is the larger of the two.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the value that is larger than a part q of all values.
func quantile[T float64 | time.Duration](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// perSecond formats the median of rates.
func perSecond(rates []float64) string { return fmt.Sprintf("%.0f/s", median(rates)) }
