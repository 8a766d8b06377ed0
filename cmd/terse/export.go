package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
)

type linksExport struct {
	clientFlags
	Output string `short:"o" placeholder:"FILE" help:"File to write. Repeat the command to continue an interrupted export. Default: stdout."`
	Format string `default:"" enum:",csv,ndjson" placeholder:"FORMAT" help:"csv or ndjson. Default: csv for a file that ends in .csv, else ndjson."`
	Whole  bool   `help:"Export every owner's links with everything known about them, including password hashes and deleted links. Needs an admin key."`
	Tag    string `help:"Only links with this tag."`
	Search string `help:"Only links with this text in their code, target or title."`
	Cursor string `help:"Continue an interrupted export to stdout; its error message names the cursor."`
}

// Help is shown below the command's purpose.
func (*linksExport) Help() string {
	return `To move all links to another server:

    terse links export --whole -o links.ndjson
    terse links import --whole links.ndjson --server https://new.example

The file appears under its name when the export is complete.`
}

// exported is the checkpoint of an export.
type exported struct {
	Server string `json:"server"`
	Query  string `json:"query"` // format and filters
	Cursor string `json:"cursor"`
	Bytes  int64  `json:"bytes"` // written to the file
	Links  int64  `json:"links"`
}

// Run exports the links.
func (c *linksExport) Run(ctx context.Context, out output) (err error) {
	if err := c.check(); err != nil {
		return settingsError{err}
	}
	api, err := c.open()
	if err != nil {
		return err
	}
	defer api.Close()
	e := &exporting{
		command: c, api: api, progress: newProgress(out.stderr, 0), part: c.Output + ".part",
		state: exported{Server: c.Server, Query: fmt.Sprint(c.format(), c.Whole, c.Tag, "\x00", c.Search), Cursor: c.Cursor},
	}
	if c.Output == "" {
		err = e.write(ctx, out.stdout)
		if err != nil && e.state.Links > 0 {
			err = fmt.Errorf("%w. To continue, repeat the command with --cursor %s", err, e.state.Cursor)
		}
	} else {
		err = e.file(ctx)
	}
	e.progress.clear()
	if err == nil && c.Output != "" {
		fmt.Fprintf(out.stderr, "Exported %d links to %s.\n", e.state.Links, c.Output)
	}
	return err
}

// check returns every problem of the flags.
func (c *linksExport) check() error {
	var problems []error
	if c.Whole && (c.Tag != "" || c.Search != "") {
		problems = append(problems, errors.New("--whole: exports all links and cannot be combined with --tag or --search"))
	}
	if c.Output != "" && c.Cursor != "" {
		problems = append(problems, errors.New("--cursor: is only for an export to stdout; an export to a file continues by itself"))
	}
	return errors.Join(problems...)
}

func (c *linksExport) format() string {
	switch {
	case c.Format != "":
		return c.Format
	case strings.HasSuffix(strings.ToLower(c.Output), ".csv"):
		return "csv"
	}
	return "ndjson"
}

// exporting is an export under way.
type exporting struct {
	command  *linksExport
	api      *terseclient.Client
	progress *progress
	part     string // path of the incomplete file
	state    exported
	save     func() error // saves the checkpoint after each page; nil: no checkpoint
}

// file exports to a file. It continues an interrupted run of the same export.
func (e *exporting) file(ctx context.Context) (err error) {
	checkpoint := e.part + ".checkpoint"
	var before exported
	found, err := readCheckpoint(checkpoint, &before)
	if err != nil {
		return err
	}
	if found && (before.Server != e.state.Server || before.Query != e.state.Query) {
		return fmt.Errorf("%s belongs to another export. Delete it or export to another file", checkpoint)
	}
	if found {
		e.state = before
	}
	f, err := os.OpenFile(e.part, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreFileClosed(f.Close())) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < e.state.Bytes {
		return fmt.Errorf("%s is shorter than %s says. Delete both to start again", e.part, checkpoint)
	}
	if err := f.Truncate(e.state.Bytes); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	e.save = func() error { return saveCheckpoint(checkpoint, e.state) }
	if err := e.write(ctx, f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close(), os.Rename(e.part, e.command.Output)); err != nil {
		return err
	}
	if err := os.Remove(checkpoint); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ignoreFileClosed returns nil for the error of a second Close, else err.
func ignoreFileClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// write writes all pages from the cursor on.
func (e *exporting) write(ctx context.Context, to io.Writer) error {
	counted := &meteredWriter{w: to, n: e.state.Bytes}
	buffer := bufio.NewWriterSize(counted, 256<<10)
	w, err := transfer.NewWriter(e.command.format(), buffer)
	if err != nil {
		return err
	}
	if e.state.Cursor == "" && e.state.Bytes == 0 {
		if err := w.Begin(e.command.Whole); err != nil {
			return err
		}
	}
	for {
		links, next, err := e.page(ctx, w)
		if err != nil {
			return err
		}
		if err := errors.Join(w.Flush(), buffer.Flush()); err != nil {
			return err
		}
		e.state.Bytes, e.state.Cursor = counted.n, next
		e.state.Links += int64(links)
		e.progress.show(e.state.Links, 0, 0)
		if next == "" {
			return nil
		}
		if e.save != nil {
			if err := e.save(); err != nil {
				return err
			}
		}
	}
}

// page writes one page. It returns the number of links and the cursor of the next page,
// which is "" after the last page.
func (e *exporting) page(ctx context.Context, w *transfer.Writer) (links int, next string, err error) {
	const most = 1000
	if e.command.Whole {
		page, err := e.api.ExportArchive(ctx, most, e.state.Cursor)
		for i := range page.Links {
			err = errors.Join(err, w.WriteArchived(&page.Links[i]))
		}
		return len(page.Links), page.NextCursor, err
	}
	page, err := e.api.List(ctx, terseclient.Query{Limit: most, Cursor: e.state.Cursor, Tag: e.command.Tag, Search: e.command.Search})
	if err == nil {
		err = page.Incomplete()
	}
	if err != nil {
		return 0, "", err
	}
	for i := range page.Links {
		err = errors.Join(err, w.Write(&page.Links[i]))
	}
	return len(page.Links), page.NextCursor, err
}

// meteredWriter counts the bytes that it writes.
type meteredWriter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *meteredWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
