package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/terse/terse/client/transfer"
	"github.com/terse/terse/internal/outfile"
)

type linksImport struct {
	clientFlags
	File     string            `arg:"" help:"File to import. - reads standard input."`
	From     string            `default:"terse" placeholder:"PRODUCT" help:"Product that exported the file: terse, yourls, shlink, kutt, bitly, rebrandly, shortio or dub. Default: terse."`
	Map      map[string]string `mapsep:"none" placeholder:"FIELD=COLUMN" help:"With CSV of any origin: read a field from the column, such as url=Address or code=Slug. Repeat the flag for more fields. Other unknown columns are ignored."`
	Encoding string            `placeholder:"NAME" help:"Encoding of the file, such as latin1, windows-1252 or utf-16le. Default: UTF-8, or what a byte order mark says."`
	DryRun   bool              `help:"Only check: ask the server which rows it would reject now. No link is created or changed."`
	Upsert   bool              `help:"Change your existing link with the same code. Empty fields of the row leave the link as it is."`
	Domain   string            `placeholder:"HOST" help:"Import all links to this domain. Default: each link keeps its domain, and links without one are on the default domain of the server."`
	Whole    bool              `help:"Import links with their dates, clicks, versions, owners and password hashes. Needs an admin key."`

	Owner         map[string]string `mapsep:"none" placeholder:"OLD=NEW" help:"With --whole: give the links of the key OLD to the key NEW. Repeat the flag for more keys."`
	DropPasswords bool              `help:"Import a link without its password when the password cannot be imported. Without this flag the row is rejected."`
	Checkpoint    string            `placeholder:"FILE" help:"File for the progress of the import. Default: the name of the imported file with .checkpoint added; none for standard input."`
	Errors        string            `placeholder:"FILE" help:"File for rejected rows as lines of JSON, or - for stdout. Default: report them on stderr."`
	Report        string            `placeholder:"FILE" help:"File for the short URL of each imported row: CSV if the name ends in .csv, else lines of JSON. - is stdout. Default: none."`
}

// Help is shown below the command's purpose.
func (*linksImport) Help() string {
	return `Links keep their codes. Rejected rows are reported with line, field and reason, and the exit status is then 1; the rest are
imported. A warning names what was cleaned or dropped in other fields. Repeat the command to continue an interrupted import. No
link is created twice.

    terse links import --from yourls yourls.sql
    terse links import --map url=Address --map code=Slug --report short.csv table.csv
    terse links import --from shlink --whole --errors rejected.ndjson short_urls.csv

Creation dates, clicks and password hashes are imported with --whole only.`
}

// Run imports the links.
func (c *linksImport) Run(ctx context.Context, out output) error {
	if err := c.check(); err != nil {
		return settingsError{err}
	}
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	var bar *progress
	opts := transfer.ImportOptions{
		Client: api, File: c.File, Source: c.From, Encoding: c.Encoding, Columns: c.Map, Domain: c.Domain, Upsert: c.Upsert, DryRun: c.DryRun,
		Whole: c.Whole, Owners: c.Owner, DropPasswords: c.DropPasswords,
		Checkpoint: c.checkpoint(), Rejections: c.Errors, Report: c.Report,
		Progress: func(p transfer.ImportProgress) { bar.show(p.Links, p.Rejected, p.Read) },
		Warned: func(w transfer.ImportWarning) error {
			bar.clear()
			_, err := fmt.Fprintf(out.stderr, "terse: %s: line %d: warning: %s\n", c.File, w.Line, w.Reason)
			return err
		},
	}
	if c.File == "-" {
		opts.File, opts.Reader = "", out.stdin
	}
	if outfile.IsStdout(c.Report) {
		opts.Report = "/dev/stdout"
	}
	if outfile.IsStdout(c.Errors) {
		lines := json.NewEncoder(out.stdout)
		lines.SetEscapeHTML(false)
		opts.Rejections, opts.Rejected = "", func(r transfer.Rejection) error { return lines.Encode(r) }
	}
	if c.Errors == "" {
		opts.Rejected = func(r transfer.Rejection) error {
			bar.clear()
			_, err := fmt.Fprintf(out.stderr, "terse: %s: %v\n", c.File, &transfer.RowError{Line: r.Line, Field: r.Field, Reason: r.Reason})
			return err
		}
	}
	m, err := transfer.NewImporter(opts)
	switch {
	case errors.Is(err, transfer.ErrOtherImport):
		return fmt.Errorf("%w. To continue that import, repeat its command. To start this one, delete the checkpoint or pass --checkpoint FILE", err)
	case err != nil:
		return fmt.Errorf("%s: %w", c.File, err)
	}
	defer func() { _ = m.Close() }()
	if n := m.Result().Rows; n > 0 {
		fmt.Fprintf(out.stderr, "Continuing after %d rows.\n", n)
	}
	bar = newProgress(out.stderr, m.Size())
	err = m.Run(ctx)
	bar.clear()
	return c.report(out.stderr, m.Result(), err)
}

// report prints the result. It returns the error of the command: err, or an error when rows
// were rejected.
func (c *linksImport) report(w io.Writer, r transfer.ImportResult, err error) error {
	if errors.Is(err, transfer.ErrNoLinks) {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	form := "Imported %d links, rejected %d rows.\n"
	if c.DryRun {
		form = "Dry run: an import would take %d links and reject %d rows.\n"
	}
	fmt.Fprintf(w, form, r.Links, r.Rejected)
	if r.Updated > 0 {
		form := "%d of the links existed and were updated.\n"
		if c.DryRun {
			form = "%d of the links exist and would be updated.\n"
		}
		fmt.Fprintf(w, form, r.Updated)
	}
	if r.Warnings > 0 {
		fmt.Fprintf(w, "%d links have warnings.\n", r.Warnings)
	}
	if r.WithoutHistory > 0 {
		fmt.Fprintf(w, "%d links lost their dates and clicks. To keep them, use an admin key and --whole.\n", r.WithoutHistory)
	}
	switch {
	case err != nil && c.checkpoint() != "":
		return errors.Join(err, fmt.Errorf("%d rows are done and noted in %s. Repeat the command to continue after them", r.Rows, c.checkpoint()))
	case err == nil && r.Rejected > 0:
		return fmt.Errorf("%d rows were rejected", r.Rejected)
	}
	return err
}

// check returns every problem of the flags.
func (c *linksImport) check() error {
	var problems []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	add(!slices.Contains(transfer.Sources(), c.From), "--from: %q must be one of %s", c.From, strings.Join(transfer.Sources(), ", "))
	add(len(c.Owner) > 0 && !c.Whole, "--owner: works with --whole only")
	add(c.Upsert && c.Whole, "--upsert: does not work with --whole")
	add(len(c.Map) > 0 && c.From != "terse", "--map: does not work with --from")
	add(c.DryRun && (c.Report != "" || c.Checkpoint != ""), "--dry-run: does not work with --report and --checkpoint")
	if _, err := transfer.NewTextReader(strings.NewReader(""), c.Encoding); err != nil {
		problems = append(problems, fmt.Errorf("--encoding: %w", err))
	}
	return errors.Join(problems...)
}

// checkpoint returns the path of the checkpoint. It is empty for standard input and a dry run.
func (c *linksImport) checkpoint() string {
	if c.DryRun {
		return ""
	}
	if c.Checkpoint != "" || c.File == "-" {
		return c.Checkpoint
	}
	return c.File + ".checkpoint"
}
