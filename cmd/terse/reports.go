package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
)

type reportsCommand struct {
	List    reportsList    `cmd:"" help:"Show the open reports, newest first."`
	Resolve reportsResolve `cmd:"" help:"Close a report. The link does not change."`
}

type reportsList struct {
	clientFlags
	Resolved bool `help:"Show the resolved reports instead."`
	Limit    int  `default:"50" placeholder:"N" help:"Most reports to show. 0 shows all. Default: 50."`
	JSON     bool `name:"json" help:"Print each report as a line of JSON."`
}

// Help is shown below the command's purpose.
func (*reportsList) Help() string {
	return `DROPPED is the number of later reports of the link for the same reason that were not kept, because enough of them were open.`
}

// Run shows reports.
func (c *reportsList) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	show := func(r *terseclient.Report) error {
		_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.ID, r.ReportedAt.Format(time.RFC3339), r.Reason, r.Dropped, r.ShortURL,
			cmp.Or(r.Email, "-"), cmp.Or(oneLine(r.Comment), "-"))
		return err
	}
	if c.JSON {
		show = func(r *terseclient.Report) error { return printJSON(out.stdout, r) }
	} else {
		fmt.Fprintln(table, "ID\tREPORTED\tREASON\tDROPPED\tLINK\tEMAIL\tCOMMENT")
	}
	const pageSize = 1000
	q := terseclient.ReportQuery{Limit: pageSize}
	if c.Resolved {
		q.State = "resolved"
	}
	for shown := 0; ; {
		if c.Limit > 0 {
			q.Limit = min(pageSize, c.Limit-shown)
		}
		page, err := api.Reports(ctx, q)
		switch {
		case err != nil && shown == 0:
			return err
		case err != nil:
			return errors.Join(err, table.Flush())
		}
		for i := range page.Reports {
			if err := show(&page.Reports[i]); err != nil {
				return err
			}
		}
		if err := page.Incomplete(); err != nil {
			return errors.Join(table.Flush(), err)
		}
		shown += len(page.Reports)
		if q.Cursor = page.NextCursor; q.Cursor == "" || c.Limit > 0 && shown >= c.Limit {
			return table.Flush()
		}
	}
}

type reportsResolve struct {
	clientFlags
	ID         string `arg:"" help:"Id of the report, as terse reports list shows it."`
	Resolution string `help:"How the report was resolved; a note for other administrators."`
}

// Run closes a report.
func (c *reportsResolve) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	r, err := api.ResolveReport(ctx, c.ID, c.Resolution)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "Resolved %s (%s).\n", r.ID, r.ShortURL)
	return nil
}
