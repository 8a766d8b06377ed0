package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
	"github.com/terse/terse/internal/inorder"
)

type linksImport struct {
	clientFlags
	File  string `arg:"" help:"File to import. - reads standard input."`
	From  string `default:"terse" placeholder:"PRODUCT" help:"Product that exported the file: terse, yourls, shlink, kutt or bitly. Default: terse."`
	Whole bool   `help:"Import links with their dates, clicks, versions, owners and password hashes. Needs an admin key."`

	Owner         map[string]string `mapsep:"none" placeholder:"OLD=NEW" help:"With --whole: give the links of the key OLD to the key NEW. Repeat the flag for more keys."`
	DropPasswords bool              `help:"Import a link without its password when the file does not contain the password. Without this flag the row is rejected."`
	Checkpoint    string            `placeholder:"FILE" help:"File for the progress of the import. Default: the name of the imported file with .checkpoint added; none for standard input."`
	Errors        string            `placeholder:"FILE" help:"Write rejected rows to this file as lines of JSON, and not to stderr."`
}

// Help is shown below the command's purpose.
func (*linksImport) Help() string {
	return `Links keep their codes. Rejected rows are reported with line, field and reason; the rest are imported. The exit status is
then 1. Repeat the command to continue an interrupted import. No link is created twice.

    terse links import --from yourls yourls.sql
    terse links import --from shlink --whole --errors rejected.ndjson short_urls.csv

Dates, clicks and password hashes are imported with --whole only.`
}

// imported is the checkpoint of an import.
type imported struct {
	Source  string `json:"source"` // fingerprint of the file and the flags
	Run     string `json:"run"`    // prefix of the Idempotency-Keys
	Rows    int64  `json:"rows"`   // imported or rejected
	Links   int64  `json:"links"`
	Refused int64  `json:"refused"` // rejected rows
	Poorer  int64  `json:"poorer"`  // links that lost their dates and clicks
	Errors  int64  `json:"errors"`  // bytes in the file of --errors
}

// Run imports the links.
func (c *linksImport) Run(ctx context.Context, out output) (err error) {
	if err := c.check(); err != nil {
		return settingsError{err}
	}
	api, err := c.open()
	if err != nil {
		return err
	}
	defer api.Close()
	m := &importing{command: c, api: api, stderr: out.stderr, checkpoint: c.checkpoint()}
	source, total, err := m.openSource(out.stdin)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	if err := m.resume(); err != nil {
		return err
	}
	if m.refusals, err = m.openErrors(); err != nil {
		return err
	}
	defer func() { _ = m.refusals.Close() }()
	m.progress = newProgress(out.stderr, total)
	err = m.run(ctx, source)
	m.progress.clear()
	return m.finish(err)
}

// check returns every problem of the flags.
func (c *linksImport) check() error {
	var problems []error
	known := false
	for _, s := range transfer.Sources() {
		known = known || s == c.From
	}
	if !known {
		problems = append(problems, fmt.Errorf("--from: %q must be one of %s", c.From, strings.Join(transfer.Sources(), ", ")))
	}
	if len(c.Owner) > 0 && !c.Whole {
		problems = append(problems, errors.New("--owner: works with --whole only"))
	}
	return errors.Join(problems...)
}

// checkpoint returns the path of the checkpoint, or "" for none.
func (c *linksImport) checkpoint() string {
	if c.Checkpoint != "" || c.File == "-" {
		return c.Checkpoint
	}
	return c.File + ".checkpoint"
}

// importing is an import under way.
type importing struct {
	command    *linksImport
	api        *terseclient.Client
	stderr     io.Writer
	checkpoint string // path; empty: no checkpoint
	refusals   io.WriteCloser
	progress   *progress
	read       atomic.Int64 // bytes of the source
	state      imported
	saved      time.Time
}

// fingerprinted is how many bytes at the start of a file go into its fingerprint.
const fingerprinted = 64 << 10

// openSource opens the file and sets the fingerprint in the state. total is the size of the
// file in bytes, 0 for standard input.
func (m *importing) openSource(stdin io.Reader) (source io.ReadCloser, total int64, err error) {
	c := m.command
	flags := []any{c.Server, c.From, c.Whole}
	if c.File == "-" {
		m.state.Source = fingerprint(flags, nil)
		return io.NopCloser(stdin), 0, nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	head := make([]byte, fingerprinted)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, errors.Join(err, f.Close())
	}
	m.state.Source = fingerprint(append(flags, info.Size()), head[:n])
	return f, info.Size(), nil
}

// fingerprint identifies an import by its properties and the start of its file.
func fingerprint(properties []any, head []byte) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %x", properties, sha256.Sum256(head)))
	return hex.EncodeToString(sum[:16])
}

// resume loads the checkpoint of an interrupted run of the same import. Without one it
// starts a new checkpoint.
func (m *importing) resume() error {
	m.state.Run = rand.Text()
	if m.checkpoint == "" {
		return nil
	}
	var before imported
	found, err := readCheckpoint(m.checkpoint, &before)
	switch {
	case err != nil:
		return err
	case !found:
		return saveCheckpoint(m.checkpoint, m.state)
	case before.Source != m.state.Source:
		return fmt.Errorf("%s belongs to another import. Delete it or pass --checkpoint FILE", m.checkpoint)
	}
	m.state = before
	if m.state.Rows > 0 {
		fmt.Fprintf(m.stderr, "Continuing after %d rows.\n", m.state.Rows)
	}
	return nil
}

// openErrors opens the file of --errors and cuts off rows that the checkpoint does not
// cover. Without --errors it returns stderr.
func (m *importing) openErrors() (io.WriteCloser, error) {
	if m.command.Errors == "" {
		return nopCloser{m.stderr}, nil
	}
	f, err := os.OpenFile(m.command.Errors, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(m.state.Errors); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = f.Seek(0, io.SeekEnd)
	return f, err
}

type nopCloser struct{ io.Writer }

// Close does nothing.
func (nopCloser) Close() error { return nil }

// refusal is the reason why a row was rejected, as --errors writes it.
type refusal struct {
	Line   int    `json:"line"`
	Code   string `json:"code,omitempty"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// handled is the result of some rows.
type handled struct {
	rows     int64
	links    int64
	poorer   int64
	refused  int64
	refusals []refusal
}

// chunkCalls is the number of requests that run at once. It is small, so that an import
// leaves room for other callers.
const chunkCalls = 4

// run imports all rows after the checkpoint.
func (m *importing) run(ctx context.Context, source io.Reader) error {
	reader, err := transfer.Open(m.command.From, &meteredReader{r: source, n: &m.read})
	if err != nil {
		return err
	}
	rows := &rowSource{reader: reader, last: map[string]*chunk{}}
	for range m.state.Rows {
		if _, err := rows.next(); err != nil {
			return fmt.Errorf("the file has fewer rows than %s says: %w", m.checkpoint, err)
		}
	}
	send := m.create
	if m.command.Whole {
		send = m.putIn
	}
	return inorder.Run(ctx, chunkCalls, rows.chunk, func(ctx context.Context, c *chunk) (handled, error) {
		if err := c.await(ctx); err != nil {
			return handled{}, err
		}
		o, err := send(ctx, c.rows)
		if err == nil {
			close(c.done)
		}
		return o, err
	}, m.commit)
}

// create creates links with the owner of the API key. The Idempotency-Key of a row contains
// its number, so that it does not depend on the other rows of the request.
func (m *importing) create(ctx context.Context, rows []row) (handled, error) {
	o := handled{rows: int64(len(rows))}
	var (
		links []terseclient.KeyedLink
		of    []*row
	)
	for i := range rows {
		r := &rows[i]
		if !m.acceptable(r, &o) {
			continue
		}
		l := &r.record.Link
		links, of = append(links, terseclient.KeyedLink{NewLink: terseclient.NewLink{
			URL: l.URL, Alias: l.Code, Title: l.Title, Tags: l.Tags, StartsAt: l.StartsAt, ExpiresAt: l.ExpiresAt,
			MaxClicks: l.MaxClicks, Status: l.Status, ForwardQuery: l.ForwardQuery,
		}, Key: m.state.Run + "-" + strconv.FormatInt(r.number, 10)}), append(of, r)
	}
	err := m.send(of, &o, func() ([]*terseclient.Problem, error) { return m.api.CreateBatch(ctx, links) })
	return o, err
}

// send calls the server for the rows and adds their results to o.
func (m *importing) send(of []*row, o *handled, call func() ([]*terseclient.Problem, error)) error {
	if len(of) == 0 {
		return nil
	}
	problems, err := call()
	if p, ok := errors.AsType[*terseclient.Problem](err); ok && p.Status == http.StatusRequestEntityTooLarge && len(of) == 1 {
		problems, err = []*terseclient.Problem{p}, nil
	}
	if err != nil {
		return err
	}
	for i, problem := range problems {
		l := &of[i].record.Link
		switch {
		case problem == nil:
			o.links++
			if !m.command.Whole && (l.Clicks > 0 || l.UsedClicks > 0 || l.CreatedAt != nil) {
				o.poorer++
			}
		case problem.RejectsLink():
			o.refuse(of[i], problem)
		default:
			return fmt.Errorf("line %d: %w", of[i].record.Line, problem)
		}
	}
	return nil
}

// putIn imports links with all their fields, for --whole.
func (m *importing) putIn(ctx context.Context, rows []row) (handled, error) {
	o := handled{rows: int64(len(rows))}
	var (
		links []terseclient.ArchivedLink
		of    []*row
	)
	for i := range rows {
		r := &rows[i]
		l := &r.record.Link
		switch {
		case !m.acceptable(r, &o):
			continue
		case l.Code == "":
			o.refuse(r, &terseclient.Problem{Errors: []terseclient.Fault{{Location: "code", Message: "is required with --whole"}}})
			continue
		}
		if l.Owner != nil {
			if owner, ok := m.command.Owner[*l.Owner]; ok {
				l.Owner = &owner
			}
		}
		links, of = append(links, *l), append(of, r)
	}
	err := m.send(of, &o, func() ([]*terseclient.Problem, error) { return m.api.ImportArchive(ctx, links) })
	return o, err
}

// acceptable reports whether a row can become a link. It rejects other rows in o.
func (m *importing) acceptable(r *row, o *handled) bool {
	var fault terseclient.Fault
	switch {
	case r.err != nil:
		r.record.Line, fault = r.err.Line, terseclient.Fault{Location: r.err.Field, Message: r.err.Reason}
	case r.record.PasswordLost && !m.command.DropPasswords:
		fault = terseclient.Fault{Location: "password", Message: "is not in the file; --drop-passwords imports the link without one"}
	case r.record.Link.DeletedAt != nil && !m.command.Whole:
		fault = terseclient.Fault{Location: "deleted_at", Message: "the link was deleted; --whole imports it as deleted, so that its code is never used again"}
	case r.record.Disabled && !m.command.Whole:
		fault = terseclient.Fault{Location: "disabled_reason", Message: "the link was taken down; --whole imports it as disabled"}
	case r.record.Disabled && r.record.Link.DisabledAt == nil:
		fault = terseclient.Fault{Location: "disabled_at", Message: "the link was taken down, but the file has no time; export it with --whole"}
	default:
		return true
	}
	o.refuse(r, &terseclient.Problem{Errors: []terseclient.Fault{fault}})
	return false
}

// refuse adds a rejected row to o.
func (o *handled) refuse(r *row, p *terseclient.Problem) {
	o.refused++
	line, code := r.record.Line, r.record.Link.Code
	for _, f := range p.Errors {
		o.refusals = append(o.refusals, refusal{line, code, f.Field(), f.Message})
	}
	switch {
	case len(p.Errors) > 0:
	case p.Status == 409:
		o.refusals = append(o.refusals, refusal{line, code, "code", "is taken"})
	default:
		o.refusals = append(o.refusals, refusal{line, code, "", p.Error()})
	}
}

// saveEvery is the shortest time between two saves of the checkpoint. After a crash the
// import repeats later rows, which creates no link twice.
const saveEvery = 200 * time.Millisecond

// commit reports the rejected rows, updates the state and saves the checkpoint.
func (m *importing) commit(o handled) error {
	slices.SortStableFunc(o.refusals, func(a, b refusal) int { return a.Line - b.Line })
	for _, r := range o.refusals {
		if err := m.reportRow(r); err != nil {
			return err
		}
	}
	m.state.Rows += o.rows
	m.state.Links += o.links
	m.state.Refused += o.refused
	m.state.Poorer += o.poorer
	m.progress.show(m.state.Links, m.state.Refused, m.read.Load())
	if m.checkpoint == "" || time.Since(m.saved) < saveEvery {
		return nil
	}
	m.saved = time.Now()
	return saveCheckpoint(m.checkpoint, m.state)
}

// reportRow writes a rejected row to the file of --errors, or to stderr.
func (m *importing) reportRow(r refusal) error {
	if m.command.Errors == "" {
		m.progress.clear()
		err := transfer.RowError{Line: r.Line, Field: r.Field, Reason: r.Reason}
		_, failed := fmt.Fprintf(m.stderr, "terse: %s: %v\n", m.command.File, &err)
		return failed
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	n, err := m.refusals.Write(append(line, '\n'))
	m.state.Errors += int64(n)
	return err
}

// finish prints the result. It deletes the checkpoint of a complete import, and saves the
// checkpoint of an interrupted one.
func (m *importing) finish(err error) error {
	s := &m.state
	fmt.Fprintf(m.stderr, "Imported %d links, rejected %d rows.\n", s.Links, s.Refused)
	if s.Poorer > 0 {
		fmt.Fprintf(m.stderr, "%d links lost their dates and clicks. To keep them, use an admin key and --whole.\n", s.Poorer)
	}
	switch {
	case err != nil && m.checkpoint != "":
		return errors.Join(err, saveCheckpoint(m.checkpoint, s), errors.New("repeat the command to continue"))
	case err != nil:
		return err
	case m.checkpoint != "":
		err = os.Remove(m.checkpoint)
	}
	if s.Refused > 0 {
		err = errors.Join(err, fmt.Errorf("%d rows were rejected", s.Refused))
	}
	return err
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
