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
	"github.com/terse/terse/transfer"
)

type linksExport struct {
	clientFlags
	Output string `short:"o" placeholder:"FILE" help:"Where to write; an export that was cut off goes on where it was. Default: stdout."`
	Format string `default:"" enum:",csv,ndjson" placeholder:"FORMAT" help:"csv or ndjson. Default: what the file is called, else ndjson."`
	Whole  bool   `help:"Everybody's links with all that is known of them, password hashes and deleted ones included; takes an admin key."`
	Tag    string `help:"Only links with this tag."`
	Search string `help:"Only links whose code, target or title contains this."`
	Cursor string `help:"Begin here: what an export to stdout that was cut off has told."`
}

// Help is shown below the command's purpose.
func (*linksExport) Help() string {
	return `To move all links to another server, whole:

    terse links export --whole -o links.ndjson
    terse links import --whole links.ndjson --server https://new.example

An export to a file is written beside it, and takes its place once it is whole.`
}

// exported is how far an export is.
type exported struct {
	Server string `json:"server"`
	Query  string `json:"query"` // what is exported, and how
	Cursor string `json:"cursor"`
	Bytes  int64  `json:"bytes"` // of the file so far
	Links  int64  `json:"links"`
}

// Run exports.
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
			err = fmt.Errorf("%w; to go on, repeat it with --cursor %s", err, e.state.Cursor)
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

// check returns what is wrong with the flags.
func (c *linksExport) check() error {
	var problems []error
	if c.Whole && (c.Tag != "" || c.Search != "") {
		problems = append(problems, errors.New("--whole: takes everything, without --tag and --search"))
	}
	if c.Output != "" && c.Cursor != "" {
		problems = append(problems, errors.New("--cursor: is for an export to stdout; one to a file goes on by itself"))
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
	part     string // the file beside the one that is asked for
	state    exported
	saved    func() error // called after each page; nil: nothing is kept
}

// file exports to a file, and goes on where an earlier run of the same export was.
func (e *exporting) file(ctx context.Context) (err error) {
	checkpoint := e.part + ".checkpoint"
	var before exported
	found, err := readCheckpoint(checkpoint, &before)
	if err != nil {
		return err
	}
	if found && (before.Server != e.state.Server || before.Query != e.state.Query) {
		return fmt.Errorf("%s is of another export: remove it, or write to another file", checkpoint)
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
		return fmt.Errorf("%s is shorter than %s says: remove both to begin anew", e.part, checkpoint)
	}
	if err := f.Truncate(e.state.Bytes); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	e.saved = func() error { return saveCheckpoint(checkpoint, e.state) }
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

// ignoreFileClosed takes the error of a second Close.
func ignoreFileClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// write writes page after page, until the last one.
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
		if e.saved != nil {
			if err := e.saved(); err != nil {
				return err
			}
		}
	}
}

// page writes one page, and returns how many links it had and where the next one
// begins.
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
	if err == nil && len(page.UnavailableShards) > 0 {
		err = missing(page.UnavailableShards)
	}
	if err != nil {
		return 0, "", err
	}
	for i := range page.Links {
		err = errors.Join(err, w.Write(&page.Links[i]))
	}
	return len(page.Links), page.NextCursor, err
}

// meteredWriter counts what is written.
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
