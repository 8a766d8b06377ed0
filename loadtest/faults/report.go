//go:build unix

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is what a scenario came to, as a table for people.
type report struct {
	name  string
	lines []line
}

// line is one figure, and whether it is what was promised.
type line struct {
	what, figure, promise string
	broken                bool
}

// tell adds a figure about which nothing was promised.
func (r *report) tell(what, format string, args ...any) {
	r.lines = append(r.lines, line{what: what, figure: fmt.Sprintf(format, args...)})
}

// hold adds a figure and whether it keeps a promise.
func (r *report) hold(kept bool, what, promise, format string, args ...any) {
	r.lines = append(r.lines, line{what, fmt.Sprintf(format, args...), promise, !kept})
}

func (r *report) fail(what, why string) { r.hold(false, what, "", "%s", why) }

// holds reports whether every promise was kept.
func (r *report) holds() bool {
	for _, l := range r.lines {
		if l.broken {
			return false
		}
	}
	return true
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", r.name)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.lines {
		verdict := map[bool]string{true: "BROKEN", false: "kept"}[l.broken]
		if l.promise == "" && !l.broken {
			verdict = ""
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", l.what, l.figure, l.promise, verdict)
	}
	_ = table.Flush()
}
