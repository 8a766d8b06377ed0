package transfer

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/terse/terse/client"
	"github.com/terse/terse/internal/inorder"
)

// ImportOptions configures an Importer.
type ImportOptions struct {
	// Client calls the server that receives the links. Required.
	Client *client.Client

	// File is the path of the file to import. Either File or Reader is required.
	File   string
	Reader io.Reader

	// Source is the product that exported the file, one of Sources. Default "terse".
	Source string

	// Encoding and Columns are described in ReadOptions.
	Encoding string
	Columns  map[string]string

	// Whole imports links with their dates, clicks, versions, owners and password hashes.
	// It needs an admin key. Without Whole, the owner of the API key gets new links.
	Whole bool

	// Owners maps old owners to new owners, both as ids of API keys. It needs Whole. Links
	// of other owners keep their owner.
	Owners map[string]string

	// Domain is a host of the domain of all links, instead of the domains in the file. Default:
	// each link keeps its domain, and links without one are on the default domain.
	Domain string

	// Upsert changes the link if the API key's owner has one with the code. Fields that the row
	// leaves empty stay as they are. A row without a code becomes a link only if the owner has
	// no equal link. Not with Whole. Default: the row is rejected.
	Upsert bool

	// DryRun asks the server which rows an import would reject now, and changes nothing. Links are
	// the links that the import would create or change. Not with Checkpoint and Report.
	DryRun bool

	// DropPasswords imports a link without a password when the link had a password that
	// cannot be imported: the file does not contain it, or contains only its hash and Whole is
	// not set. Default: such a row is rejected.
	DropPasswords bool

	// Checkpoint is the path of a file for the progress. An Importer with the same
	// options continues an interrupted import from it. A complete import deletes it.
	// Default: an interrupted import cannot continue.
	Checkpoint string

	// Rejections is the path of a file for the rejected rows, each a Rejection as a line
	// of JSON. An import that continues keeps the lines of the rows before the
	// checkpoint. Only the owner of the file can read it. The file may be a device or a pipe.
	// Default: none.
	Rejections string

	// Report is the path of a file that gives the short URL of each imported row, as a
	// ReportLine: CSV if the name ends in .csv, otherwise lines of JSON. An import that
	// continues keeps the lines of the rows before the checkpoint. Only the owner of the file can
	// read it. The file may be a device or a pipe. Default: none.
	Report string

	// Rejected is called for each Rejection, in the order of the rows. Its error ends the
	// import. Default: not called.
	Rejected func(Rejection) error

	// Warned is called for each ImportWarning, in the order of the rows. Its error ends the
	// import. Default: not called.
	Warned func(ImportWarning) error

	// Progress is called after each completed request, in order. Default: not called.
	Progress func(ImportProgress)
}

func (o *ImportOptions) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("transfer: ImportOptions."+problem))
		}
	}
	check(o.Client != nil, "Client is required")
	check((o.File == "") != (o.Reader == nil), "File or Reader is required, and not both")
	check(slices.Contains(Sources(), o.Source), "Source must be one of Sources")
	check(o.Whole || len(o.Owners) == 0, "Owners needs Whole")
	check(!o.Whole || !o.Upsert, "Upsert works without Whole only")
	check(o.Source == "terse" || len(o.Columns) == 0, "Columns needs the Source terse")
	check(!o.DryRun || o.Checkpoint == "" && o.Report == "", "DryRun has no Checkpoint and no Report")
	return errors.Join(errs...)
}

// Rejection is one reason why a row was rejected. Reason is for people. It may name flags of the
// command terse links import.
type Rejection struct {
	Line   int    `json:"line"` // first line of the row in the file, counted from 1
	Code   string `json:"code,omitempty"`
	Field  string `json:"field,omitempty"` // empty when the whole row is invalid
	Reason string `json:"reason"`
}

// ImportWarning says what an imported link lacks.
type ImportWarning struct {
	Line   int
	Code   string
	Reason string // names each field
}

// ReportLine is one imported row.
type ReportLine struct {
	Line     int    `json:"line"`
	URL      string `json:"url"`
	ShortURL string `json:"short_url"`
	Warning  string `json:"warning,omitempty"`
}

// ImportResult counts the rows of an import, including earlier runs that it continued.
type ImportResult struct {
	Rows     int64 // imported or rejected
	Links    int64 // imported, including Updated
	Updated  int64 // changed by ImportOptions.Upsert
	Rejected int64
	Warnings int64 // imported links with an ImportWarning

	// WithoutHistory is how many imported links lost their dates and clicks, because
	// Whole was not set.
	WithoutHistory int64
}

// ImportProgress is the progress of an import.
type ImportProgress struct {
	ImportResult
	Read int64 // bytes of the file
}

// importState is the checkpoint of an import.
type importState struct {
	Source     string       `json:"source"` // fingerprint of the file and the options
	Run        string       `json:"run"`    // prefix of the Idempotency-Keys
	Result     ImportResult `json:"result"`
	Rejections int64        `json:"rejections"` // bytes in the file of ImportOptions.Rejections
	Report     int64        `json:"report"`     // bytes in the file of ImportOptions.Report
}

// Importer imports a file of links. It creates no link twice, even when it is interrupted and
// repeated. If rows have the same code, the first one counts and the others are rejected. An
// Importer remembers the codes of the file. Not safe for concurrent use.
type Importer struct {
	opts       ImportOptions
	source     io.Reader
	reader     Reader
	file       *os.File // of source; nil: ImportOptions.Reader
	size       int64
	rejections *os.File // nil: none
	report     *os.File // nil: none
	read       atomic.Int64
	state      importState
	saved      time.Time // when the checkpoint was saved last
}

// ErrOtherImport reports that a checkpoint belongs to another file, server or source.
var ErrOtherImport = errors.New("belongs to another import")

// NewImporter opens the files of opts and reads the checkpoint. It returns ErrOtherImport for
// the checkpoint of another import, and ErrNoLinks for a file of another form than Source has. It
// leaves no new checkpoint then. The caller must call Close.
func NewImporter(opts ImportOptions) (*Importer, error) {
	opts.Source = cmp.Or(opts.Source, "terse")
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m := &Importer{opts: opts}
	for _, step := range []func() error{m.openSource, m.openReader, m.resume, m.openRejections, m.openReport} {
		if err := step(); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

// Close closes the files.
func (m *Importer) Close() error {
	var errs []error
	for _, f := range []*os.File{m.file, m.rejections, m.report} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// Result returns the result up to now. Before Run it is the result of the earlier runs that
// Run continues.
func (m *Importer) Result() ImportResult { return m.state.Result }

// Size returns the size of the file in bytes, or 0 for ImportOptions.Reader.
func (m *Importer) Size() int64 { return m.size }

// Run imports all rows after the checkpoint. A row that the server rejects is no error, see
// ImportOptions.Rejected and Result. After an error the import can continue from the
// checkpoint, unless the error is ErrNoLinks.
func (m *Importer) Run(ctx context.Context) error {
	err := m.run(ctx)
	switch {
	case m.opts.Checkpoint == "":
		return err
	case err != nil && !errors.Is(err, ErrNoLinks):
		return errors.Join(err, saveCheckpoint(m.opts.Checkpoint, m.state))
	}
	return errors.Join(err, os.Remove(m.opts.Checkpoint))
}

// fingerprinted is how many bytes at the start of a file go into its fingerprint.
const fingerprinted = 64 << 10

// openSource opens the file and sets its fingerprint.
func (m *Importer) openSource() error {
	properties := []any{m.opts.Client.Server(), m.opts.Source, m.opts.Whole, m.opts.Upsert, m.opts.Encoding, m.opts.Columns, m.opts.Domain}
	m.source = m.opts.Reader
	if m.opts.Reader != nil {
		m.state.Source = fingerprint(properties, nil)
		return nil
	}
	var err error
	if m.file, err = os.Open(m.opts.File); err != nil {
		return err
	}
	info, err := m.file.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, fingerprinted)
	n, err := m.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	m.source, m.size = m.file, info.Size()
	m.state.Source = fingerprint(append(properties, m.size), head[:n])
	return nil
}

// openReader opens the reader of the rows.
func (m *Importer) openReader() (err error) {
	m.reader, err = Open(&meteredReader{r: m.source, n: &m.read}, ReadOptions{Source: m.opts.Source, Encoding: m.opts.Encoding, Columns: m.opts.Columns})
	return err
}

// fingerprint identifies an import by its properties and the start of its file.
func fingerprint(properties []any, head []byte) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %x", properties, sha256.Sum256(head)))
	return hex.EncodeToString(sum[:16])
}

// resume loads the checkpoint of an interrupted run of the same import. Without one it
// starts a new checkpoint.
func (m *Importer) resume() error {
	m.state.Run = rand.Text()
	if m.opts.Checkpoint == "" {
		return nil
	}
	const other = "Name a file in another folder with --checkpoint"
	path, err := findCheckpoint(m.opts.Checkpoint)
	if err != nil {
		return fmt.Errorf("%w. %s", err, other)
	}
	m.opts.Checkpoint = path
	var before importState
	found, err := readCheckpoint(path, &before)
	switch {
	case err != nil:
		return err
	case !found:
		if err := saveCheckpoint(path, m.state); err != nil {
			return fmt.Errorf("%w. %s", err, other)
		}
		return nil
	case before.Source != m.state.Source:
		return fmt.Errorf("%s %w", path, ErrOtherImport)
	}
	m.state = before
	return nil
}

// requestsAtOnce is the number of requests that run at once. It is small, so that an import
// does not slow down other callers.
const requestsAtOnce = 4

// run imports all rows after the checkpoint. It does not delete the checkpoint.
func (m *Importer) run(ctx context.Context) error {
	rows := &rowSource{reader: m.reader, domain: m.opts.Domain, codes: map[linkName]int{}}
	for range m.state.Result.Rows {
		if _, err := rows.next(); err != nil {
			return fmt.Errorf("the file has fewer rows than %s says: %w", m.opts.Checkpoint, err)
		}
	}
	send := m.createLinks
	if m.opts.Whole {
		send = m.importArchive
	}
	return inorder.Run(ctx, requestsAtOnce, rows.chunk, send, m.commit)
}

// saveEvery is the shortest time between two saves of the checkpoint. After a crash, the import
// repeats the rows after the last save, which creates no link twice.
const saveEvery = 200 * time.Millisecond

// commit reports the rows of a request, updates the state and saves the checkpoint.
func (m *Importer) commit(o outcome) error {
	slices.SortStableFunc(o.rejections, func(a, b Rejection) int { return a.Line - b.Line })
	for _, r := range o.rejections {
		if err := m.reject(r); err != nil {
			return err
		}
	}
	for _, w := range o.warnings {
		if m.opts.Warned == nil {
			break
		}
		if err := m.opts.Warned(w); err != nil {
			return err
		}
	}
	if err := m.writeReport(o.report); err != nil {
		return err
	}
	r := &m.state.Result
	r.Rows += o.rows
	r.Links += o.links
	r.Updated += o.updated
	r.Rejected += o.rejected
	r.Warnings += int64(len(o.warnings))
	r.WithoutHistory += o.withoutHistory
	if m.opts.Progress != nil {
		m.opts.Progress(ImportProgress{m.Result(), m.read.Load()})
	}
	if m.opts.Checkpoint == "" || time.Since(m.saved) < saveEvery {
		return nil
	}
	m.saved = time.Now()
	return saveCheckpoint(m.opts.Checkpoint, m.state)
}

// meteredReader counts the bytes that are read.
type meteredReader struct {
	r io.Reader
	n *atomic.Int64
}

// Read implements io.Reader.
func (c *meteredReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
