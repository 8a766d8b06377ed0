package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
)

// linksCommand works on the links of the API key. Export and import with --whole work on
// the links of every owner.
type linksCommand struct {
	List     linksList     `cmd:"" help:"Show your links, or the links of another owner, newest first."`
	Show     linksShow     `cmd:"" help:"Show a link."`
	Edit     linksEdit     `cmd:"" help:"Change a link."`
	Delete   linksDelete   `cmd:"" help:"Delete a link. Visitors get 410 Gone."`
	Disable  linksDisable  `cmd:"" help:"Disable a link because of abuse. Needs an admin key."`
	Enable   linksEnable   `cmd:"" help:"Enable a disabled link. Needs an admin key."`
	History  linksHistory  `cmd:"" help:"Show the changes of a link, newest first."`
	Rollback linksRollback `cmd:"" help:"Restore the target of an earlier version."`
	Explain  linksExplain  `cmd:"" help:"Show which rule of a link applies to a visit, and why."`
	Reset    linksReset    `cmd:"" help:"Set the clicks of a link to zero, and delete its statistics."`
	Stats    linksStats    `cmd:"" help:"Count the clicks of a link, with a chart, as JSON or as CSV."`
	Share    linksShare    `cmd:"" help:"Share a page with the statistics of a link, or of several links together."`
	QR       linksQR       `cmd:"" name:"qr" help:"Write the QR code of a link to a file."`
	Export   linksExport   `cmd:"" help:"Write your links, or every owner's, to a file or stdout."`
	Import   linksImport   `cmd:"" help:"Create links from a file of Terse or of another product."`
}

type linksList struct {
	clientFlags
	Owner  string `placeholder:"KEY" help:"Only links of this API key, or * for all owners, or anonymous. Needs an admin key. Default: your own links."`
	Domain string `placeholder:"HOST" help:"Only links on this domain."`
	Tag    string `help:"Only links with this tag."`
	Search string `help:"Only links with this text in their code, target or title."`
	Limit  int    `default:"50" placeholder:"N" help:"Most links to show. 0 shows all. Default: 50."`
	Format string `default:"table" enum:"table,csv,ndjson" help:"table, csv or ndjson. Default: table."`
	csvFlags
}

// Run shows the links.
func (c *linksList) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	print, flush, err := lister(out.stdout, transfer.WriteOptions{Format: c.Format, ExactCells: !c.SafeCSV})
	if err != nil {
		return err
	}
	shown := 0
	q := terseclient.Query{Owner: c.Owner, Domain: c.Domain, Tag: c.Tag, Search: c.Search, Limit: 1000}
	for {
		if c.Limit > 0 {
			q.Limit = min(1000, c.Limit-shown)
		}
		page, err := api.List(ctx, q)
		if err != nil {
			return errors.Join(err, flush())
		}
		for i := range page.Links {
			if err := print(&page.Links[i]); err != nil {
				return err
			}
		}
		if err := page.Incomplete(); err != nil {
			return errors.Join(flush(), err)
		}
		shown += len(page.Links)
		if q.Cursor = page.NextCursor; q.Cursor == "" || c.Limit > 0 && shown >= c.Limit {
			return flush()
		}
	}
}

// lister returns a function that prints a link and a function that flushes at the end.
func lister(w io.Writer, opts transfer.WriteOptions) (print func(*terseclient.Link) error, flush func() error, err error) {
	if opts.Format != "table" {
		writer, err := transfer.NewWriter(w, opts)
		if err != nil {
			return nil, nil, err
		}
		return writer.Write, writer.Flush, writer.Begin()
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CREATED\tCLICKS\tSTATE\tSHORT URL\tTARGET\tTITLE")
	return func(l *terseclient.Link) error {
		_, err := fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", l.CreatedAt.Format(time.DateOnly), l.Clicks, l.State, l.ShortURL, l.URL, oneLine(l.Title))
		return err
	}, table.Flush, nil
}
