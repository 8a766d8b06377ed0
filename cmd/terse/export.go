package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/terse/terse/client/transfer"
	"github.com/terse/terse/internal/outfile"
)

type linksExport struct {
	clientFlags
	Output string `short:"o" placeholder:"FILE" help:"File to write, or - for stdout. Repeat the command to continue an interrupted export. Default: stdout."`
	Format string `default:"" enum:",csv,ndjson" placeholder:"FORMAT" help:"csv or ndjson. Default: csv for a file that ends in .csv, else ndjson."`
	Whole  bool   `help:"Export every owner's links with all fields, including deleted links and password hashes. Needs an admin key."`
	Owner  string `placeholder:"KEY" help:"Only links of this API key, or * for all owners, or anonymous. Needs an admin key. Default: your own links."`
	Domain string `placeholder:"HOST" help:"Only links on this domain."`
	Tag    string `help:"Only links with this tag."`
	Search string `help:"Only links with this text in their code, target or title."`
	csvFlags
	Cursor string `help:"Continue an interrupted export to stdout; its error message names the cursor."`
}

// csvFlags are the flags of commands that write CSV for people.
type csvFlags struct {
	SafeCSV bool `name:"safe-csv" default:"true" help:"In CSV, put a quote in front of cells that a spreadsheet would run as formulas. terse links import removes it. --safe-csv=false writes the cells as they are, and --whole always does. Default: true."`
}

// Help is shown below the command's purpose.
func (*linksExport) Help() string {
	return `To move all links to another server:

    terse links export --whole -o links.ndjson
    terse links import --whole links.ndjson --server https://new.example

The file appears under its name when the export is complete. Only you can read it.`
}

// Run exports the links.
func (c *linksExport) Run(ctx context.Context, out output) error {
	if err := c.check(); err != nil {
		return settingsError{err}
	}
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	bar := newProgress(out.stderr, 0)
	opts := transfer.ExportOptions{
		Client: api, Format: c.format(), Whole: c.Whole, Owner: c.Owner, Domain: c.Domain, Tag: c.Tag, Search: c.Search, Cursor: c.Cursor, ExactCells: !c.SafeCSV,
		Progress: func(links int64) { bar.show(links, 0, 0) },
	}
	if c.toFile() {
		result, err := transfer.ExportFile(ctx, c.Output, opts)
		bar.clear()
		if err == nil {
			fmt.Fprintf(out.stderr, "Exported %d links to %s.\n", result.Links, c.Output)
		}
		return err
	}
	result, err := transfer.Export(ctx, out.stdout, opts)
	bar.clear()
	if err != nil && result.Links > 0 {
		return fmt.Errorf("%w. To continue, repeat the command with --cursor %s", err, result.Cursor)
	}
	return err
}

// check returns every problem of the flags.
func (c *linksExport) check() error {
	var problems []error
	if c.Whole && (c.Owner != "" || c.Domain != "" || c.Tag != "" || c.Search != "") {
		problems = append(problems, errors.New("--whole: exports all links and cannot be combined with --owner, --domain, --tag or --search"))
	}
	if c.toFile() && c.Cursor != "" {
		problems = append(problems, errors.New("--cursor: is only for an export to stdout; an export to a file continues by itself"))
	}
	return errors.Join(problems...)
}

// toFile reports whether the export does not go to stdout.
func (c *linksExport) toFile() bool { return c.Output != "" && !outfile.IsStdout(c.Output) }

func (c *linksExport) format() string {
	switch {
	case c.Format != "":
		return c.Format
	case strings.HasSuffix(strings.ToLower(c.Output), ".csv"):
		return "csv"
	}
	return "ndjson"
}
