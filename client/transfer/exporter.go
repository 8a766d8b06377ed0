package transfer

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/terse/terse/client"
	"github.com/terse/terse/internal/outfile"
)

// ExportOptions configures Export and ExportFile.
type ExportOptions struct {
	// Client calls the server that has the links. Required.
	Client *client.Client

	// Format is one of Formats. Default "ndjson".
	Format string

	// Whole exports the links of all owners with all of their data, including password
	// hashes and deleted links. It needs an admin key.
	Whole bool

	Owner  string // as client.Query.Owner. Not with Whole
	Domain string // only links on the domain of this host; empty for all. Not with Whole
	Tag    string // only links with this tag; empty for all. Not with Whole
	Search string // only links with this text in the code, target or title; empty for all. Not with Whole

	// ExactCells writes CSV cells as they are, see WriteOptions.
	ExactCells bool

	// Cursor is the ExportResult.Cursor of an interrupted Export, which then continues.
	// ExportFile continues by itself. Default: the first link.
	Cursor string

	// Progress is called with the number of exported links after each page. Default: not
	// called.
	Progress func(links int64)
}

func (o *ExportOptions) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("transfer: ExportOptions."+problem))
		}
	}
	check(o.Client != nil, "Client is required")
	check(slices.Contains(Formats, o.Format), "Format must be one of Formats")
	check(!o.Whole || o.Owner == "" && o.Domain == "" && o.Tag == "" && o.Search == "", "Whole exports all links, without Owner, Domain, Tag and Search")
	return errors.Join(errs...)
}

// ExportResult is the result of an export, which may be incomplete.
type ExportResult struct {
	Links  int64  // exported, including an earlier run that ExportFile continued
	Cursor string // of the first missing link; empty when the export is complete
}

// Export writes links to w. After an error, an Export with the Cursor of the result writes the
// missing links.
func Export(ctx context.Context, w io.Writer, opts ExportOptions) (ExportResult, error) {
	e, err := newExporter(opts)
	if err != nil {
		return ExportResult{}, err
	}
	err = e.write(ctx, w)
	return e.result(), err
}

// ExportFile writes links to the file at path, which appears when it is complete. Only its
// owner can read it. An interrupted export leaves two files with longer names. ExportFile with
// the same path and options continues it, unless another user may have made or changed them.
// ExportFile follows a symbolic link. It writes to a device or a pipe, and does not replace
// it; such an export cannot be continued.
func ExportFile(ctx context.Context, path string, opts ExportOptions) (ExportResult, error) {
	e, err := newExporter(opts)
	if err != nil {
		return ExportResult{}, err
	}
	err = e.writeTo(ctx, path)
	return e.result(), err
}

// exporter is an export under way.
type exporter struct {
	opts  ExportOptions
	state exportState
	save  func() error // saves the checkpoint after each page; nil: no checkpoint
}

// exportState is the checkpoint of an export.
type exportState struct {
	Server string `json:"server"`
	Query  string `json:"query"` // format, filters and form of the cells
	Cursor string `json:"cursor"`
	Bytes  int64  `json:"bytes"` // written to the file
	Links  int64  `json:"links"`
}

func newExporter(opts ExportOptions) (*exporter, error) {
	opts.Format = cmp.Or(opts.Format, "ndjson")
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &exporter{opts: opts, state: exportState{
		Server: opts.Client.Server(), Query: fmt.Sprint(opts.Format, opts.Whole, opts.Tag, "\x00", opts.Search, "\x00", opts.Owner, "\x00", opts.ExactCells) + opts.Domain, Cursor: opts.Cursor,
	}}, nil
}

func (e *exporter) result() ExportResult {
	return ExportResult{Links: e.state.Links, Cursor: e.state.Cursor}
}

// writeTo exports to a file. It writes to a device or a pipe, and follows a symbolic link.
func (e *exporter) writeTo(ctx context.Context, path string) error {
	target, err := outfile.Find(path)
	if err != nil {
		return err
	}
	if !target.Direct {
		return e.writeFile(ctx, target.Path)
	}
	f, err := outfile.OpenDirect(target.Path)
	if err != nil {
		return err
	}
	return errors.Join(e.write(ctx, f), f.Close())
}

// writeFile exports to a regular file. It continues an interrupted run of the same export.
func (e *exporter) writeFile(ctx context.Context, path string) (err error) {
	part := path + ".part"
	checkpoint := part + ".checkpoint"
	var before exportState
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
	f, err := outfile.Continue(part)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreFileClosed(f.Close())) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < e.state.Bytes {
		return fmt.Errorf("%s is shorter than %s says. Delete both to start again", part, checkpoint)
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
	if err := outfile.Replace(f, path); err != nil {
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
func (e *exporter) write(ctx context.Context, to io.Writer) error {
	counted := &meteredWriter{w: to, n: e.state.Bytes}
	buffer := bufio.NewWriterSize(counted, 256<<10)
	w, err := NewWriter(buffer, WriteOptions{Format: e.opts.Format, Whole: e.opts.Whole, ExactCells: e.opts.ExactCells})
	if err != nil {
		return err
	}
	if e.state.Cursor == "" && e.state.Bytes == 0 {
		if err := w.Begin(); err != nil {
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
		if e.opts.Progress != nil {
			e.opts.Progress(e.state.Links)
		}
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
func (e *exporter) page(ctx context.Context, w *Writer) (links int, next string, err error) {
	const most = 1000
	if e.opts.Whole {
		page, err := e.opts.Client.ExportArchive(ctx, most, e.state.Cursor)
		for i := range page.Links {
			err = errors.Join(err, w.WriteArchived(&page.Links[i]))
		}
		return len(page.Links), page.NextCursor, err
	}
	page, err := e.opts.Client.List(ctx, client.Query{Limit: most, Cursor: e.state.Cursor, Owner: e.opts.Owner, Domain: e.opts.Domain, Tag: e.opts.Tag, Search: e.opts.Search})
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
