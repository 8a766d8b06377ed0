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
	File  string `arg:"" help:"File to import. - reads standard input."`
	From  string `default:"terse" placeholder:"PRODUCT" help:"Product that exported the file: terse, yourls, shlink, kutt or bitly. Default: terse."`
	Whole bool   `help:"Import links with their dates, clicks, versions, owners and password hashes. Needs an admin key."`

	Owner         map[string]string `mapsep:"none" placeholder:"OLD=NEW" help:"With --whole: give the links of the key OLD to the key NEW. Repeat the flag for more keys."`
	DropPasswords bool              `help:"Import a link without its password when the file does not contain the password. Without this flag the row is rejected."`
	Checkpoint    string            `placeholder:"FILE" help:"File for the progress of the import. Default: the name of the imported file with .checkpoint added; none for standard input."`
	Errors        string            `placeholder:"FILE" help:"File for rejected rows as lines of JSON, or - for stdout. Default: report them on stderr."`
}

// Help is shown below the command's purpose.
func (*linksImport) Help() string {
	return `Links keep their codes. Rejected rows are reported with line, field and reason, and the exit status is then 1; the rest are
imported. Repeat the command to continue an interrupted import. No link is created twice.

    terse links import --from yourls yourls.sql
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
		Client: api, File: c.File, Source: c.From, Whole: c.Whole, Owners: c.Owner, DropPasswords: c.DropPasswords,
		Checkpoint: c.checkpoint(), Rejections: c.Errors,
		Progress: func(p transfer.ImportProgress) { bar.show(p.Links, p.Rejected, p.Read) },
	}
	if c.File == "-" {
		opts.File, opts.Reader = "", out.stdin
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
	if errors.Is(err, transfer.ErrOtherImport) {
		return fmt.Errorf("%w. Delete it or pass --checkpoint FILE", err)
	}
	if err != nil {
		return err
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
	fmt.Fprintf(w, "Imported %d links, rejected %d rows.\n", r.Links, r.Rejected)
	if r.WithoutHistory > 0 {
		fmt.Fprintf(w, "%d links lost their dates and clicks. To keep them, use an admin key and --whole.\n", r.WithoutHistory)
	}
	switch {
	case err != nil && c.checkpoint() != "":
		return errors.Join(err, errors.New("repeat the command to continue"))
	case err == nil && r.Rejected > 0:
		return fmt.Errorf("%d rows were rejected", r.Rejected)
	}
	return err
}

// check returns every problem of the flags.
func (c *linksImport) check() error {
	var problems []error
	if !slices.Contains(transfer.Sources(), c.From) {
		problems = append(problems, fmt.Errorf("--from: %q must be one of %s", c.From, strings.Join(transfer.Sources(), ", ")))
	}
	if len(c.Owner) > 0 && !c.Whole {
		problems = append(problems, errors.New("--owner: works with --whole only"))
	}
	return errors.Join(problems...)
}

// checkpoint returns the path of the checkpoint. It is empty for standard input.
func (c *linksImport) checkpoint() string {
	if c.Checkpoint != "" || c.File == "-" {
		return c.Checkpoint
	}
	return c.File + ".checkpoint"
}
