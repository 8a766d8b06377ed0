//go:build unix

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is the result of a scenario, as a table.
type report struct {
	name  string
	lines []line
}

// line is one result, and whether it breaks a promise.
type line struct {
	what, figure, promise string
	broken                bool
}

// add adds a result without a promise.
func (r *report) add(what, format string, args ...any) {
	r.lines = append(r.lines, line{what: what, figure: fmt.Sprintf(format, args...)})
}

// check adds a result and reports whether it keeps a promise.
func (r *report) check(passed bool, what, promise, format string, args ...any) {
	r.lines = append(r.lines, line{what, fmt.Sprintf(format, args...), promise, !passed})
}

func (r *report) fail(what, why string) { r.check(false, what, "", "%s", why) }

// passed reports whether every promise was kept.
func (r *report) passed() bool {
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
