package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"strconv"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/internal/spreadsheet"
)

const csvType = "text/csv"

// statsColumns are the columns of statistics in CSV. A list of links begins with the column code. A
// row of kind
//
//	total     has all clicks, start is the start of the range
//	before    has all clicks of the range before
//	point     has the clicks of the interval from start
//	value     has the clicks of a value of the breakdown by
//	other     has the clicks of all other values
//	unknown   has the clicks without a value
//	visitors  has the visitors of a UTC day
//	error     has the reason why a link has no statistics, as value
var statsColumns = []string{"kind", "by", "value", "start", "people", "robots", "visitors"}

// statsCSV writes rows of statistics.
type statsCSV struct {
	*csv.Writer
	withCode bool
	code     string
}

// csvOutput returns an answer in CSV.
func csvOutput(columns []string, rows func(w *statsCSV)) (*statsOutput, error) {
	var b bytes.Buffer
	w := &statsCSV{Writer: csv.NewWriter(&b), withCode: columns[0] == "code"}
	_ = w.Write(columns) // Error reports it
	rows(w)
	w.Flush()
	return &statsOutput{ContentType: csvType + "; charset=utf-8", Body: b.Bytes()}, w.Error()
}

// statsRow is the cells of a row.
type statsRow struct {
	kind, by, value, start, people, robots, visitors string
}

// row writes a row. Only values come from strangers.
func (w *statsCSV) row(r *statsRow) {
	cells := []string{r.kind, r.by, spreadsheet.Escape(r.value), r.start, r.people, r.robots, r.visitors}
	if w.withCode {
		cells = append([]string{spreadsheet.Escape(w.code)}, cells...)
	}
	_ = w.Write(cells) // Error reports it
}

func (w *statsCSV) clicks(r statsRow, c day.Count) {
	r.people, r.robots = strconv.FormatInt(c.People, 10), strconv.FormatInt(c.Robots, 10)
	w.row(&r)
}

// result writes the statistics of one link, or of several links together.
func (w *statsCSV) result(r *stats.Result) {
	w.total("total", r)
	if r.Before != nil {
		w.total("before", r.Before)
	}
	for _, p := range r.Series {
		w.clicks(statsRow{kind: "point", start: p.Start.Format(time.RFC3339)}, p.Count)
	}
	for i := range r.Breakdowns {
		w.breakdown(&r.Breakdowns[i])
	}
	for _, v := range r.Visitors {
		w.row(&statsRow{kind: "visitors", start: v.Day.Format(time.DateOnly), visitors: strconv.FormatInt(v.N, 10)})
	}
}

func (w *statsCSV) total(kind string, r *stats.Result) {
	w.clicks(statsRow{kind: kind, start: r.From.Format(time.RFC3339), visitors: strconv.FormatInt(r.SumVisitors(), 10)}, r.Total)
}

func (w *statsCSV) breakdown(b *stats.Breakdown) {
	by := b.Dimension.String()
	for _, v := range b.Values {
		w.clicks(statsRow{kind: "value", by: by, value: v.Name}, v.Count)
	}
	unknown := "(unknown)"
	if b.Dimension == day.Referrer {
		unknown = "(direct)"
	}
	w.clicks(statsRow{kind: "other", by: by, value: "(other)"}, b.Other)
	w.clicks(statsRow{kind: "unknown", by: by, value: unknown}, b.Unknown)
}

// list writes the statistics of several links, or the reason why a link has none.
func (w *statsCSV) list(ctx context.Context, a *API, links []countedLink) {
	for i := range links {
		w.code = links[i].code
		if err := links[i].err; err != nil {
			w.row(&statsRow{kind: "error", value: a.problem(ctx, err).Detail})
			continue
		}
		w.result(&links[i].result)
	}
}
