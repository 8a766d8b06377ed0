package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

// DefaultChunk is the default of Options.Chunk.
const DefaultChunk = 4 << 20

// Database is one database with links.
type Database struct {
	Name   string
	Ledger store.ClickLedger
}

// Placement finds the database of a link.
type Placement interface {
	// ShardOf returns the position in Options.Databases, or a negative number if it is unknown.
	ShardOf(key string) int
}

// Hosts finds the domain of a host.
type Hosts interface {
	// DomainOf returns the id of the domain that serves links under a host. It is empty for the
	// default domain. served is false if no domain does.
	DomainOf(host string) (id string, served bool)
}

// Links reads links.
type Links interface {
	// Get does the same as in store.Store.
	Get(ctx context.Context, key string) (store.Link, error)
}

// Salts returns the secrets for the hashes of visitors.
type Salts interface {
	// ClickSalt does the same as in store.ClickDays.
	ClickSalt(ctx context.Context, day int32) ([]byte, error)
}

// Options configure an Importer.
type Options struct {
	Format    Format            // required
	Databases []Database        // all databases; at least one is required
	Placement Placement         // required with several databases
	Links     Links             // required
	Hosts     Hosts             // required
	Visits    *visit.Classifier // required

	All     bool           // also count lines that the origin has answered; default: skip them, because the origin has counted them
	Host    string         // host of lines without a host; default: they are skipped
	Salts   Salts          // default: visitors are not counted
	Exclude []netip.Prefix // clicks of clients in these networks are not counted; default: none

	Chunk    int              // about how many bytes of a log are added in one transaction; default DefaultChunk
	Patience time.Duration    // how long calls of an unavailable database are repeated; default: they are not
	Now      func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	o.Chunk = cmp.Or(o.Chunk, DefaultChunk)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("logs: Options."+problem))
		}
	}
	check(o.Format.parse != nil, "Format is required")
	check(len(o.Databases) > 0, "Databases is required")
	check(o.Placement != nil || len(o.Databases) < 2, "Placement is required with several databases")
	check(o.Links != nil, "Links is required")
	check(o.Hosts != nil, "Hosts is required")
	check(o.Visits != nil, "Visits is required")
	check(o.Chunk > 0, "Chunk must be positive")
	check(o.Patience >= 0, "Patience must not be negative")
	return errors.Join(errs...)
}

// Importer counts the clicks in logs. Create one with New. Not safe for concurrent use.
type Importer struct {
	opts  Options
	seen  recent
	links map[string]linkFacts
	salts map[int32][]byte
}

// New returns an Importer. Its error joins every problem of opts.
func New(opts Options) (*Importer, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Importer{opts: opts, links: map[string]linkFacts{}, salts: map[int32][]byte{}}, nil
}

// reading is the import of one log.
type reading struct {
	*Importer
	lines   *lines
	summary Summary
	counted []int64 // by database: how many bytes of the log it has counted
	chunk   []click // of lines that are in no database yet
	begun   int64   // offset of the start of the chunk
	end     int64   // offset after the latest line that was read
}

// Import adds the clicks of a log that no earlier import has added. Each database gets the clicks
// of a chunk completely or not at all. After an error, or if the process is killed, a repeated
// import adds the rest. Do not run two imports of a growing log at the same time.
//
// A log is identified by its first 4 KiB, or by all its bytes if it is shorter. After an error, the
// summary has the lines before the error.
func (i *Importer) Import(ctx context.Context, log io.Reader) (Summary, error) {
	lines, err := newLines(log)
	if err != nil {
		return Summary{}, fmt.Errorf("logs: read: %w", err)
	}
	r := &reading{Importer: i, lines: lines}
	if r.counted, err = i.counted(ctx, lines.head); err != nil {
		return Summary{}, err
	}
	err = r.run(ctx)
	return r.summary, err
}

func (r *reading) run(ctx context.Context) error {
	for {
		next, err := r.lines.next()
		switch {
		case err != nil:
			problem := r.flush(ctx)
			if errors.Is(err, io.EOF) {
				return problem
			}
			return errors.Join(problem, fmt.Errorf("logs: read: %w", err))
		case !r.read(&next):
			continue
		}
		if r.end = next.end; r.end-r.begun >= int64(r.opts.Chunk) {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// read adds a line to the chunk, or to the skipped lines of the summary. It returns false for a line
// that is not complete.
func (r *reading) read(l *line) bool {
	if len(l.text) == 0 && !l.tooLong {
		return true
	}
	var e Entry
	err := fmt.Errorf("%w: it is longer than %d bytes", ErrFormat, maxLine)
	if !l.tooLong {
		e, err = r.opts.Format.Parse(l.text)
	}
	if err != nil && l.open {
		r.summary.Incomplete = true
		return false
	}
	r.summary.Lines++
	if err != nil {
		r.summary.Skipped[Malformed]++
		if r.summary.FirstMalformed == 0 {
			r.summary.FirstMalformed, r.summary.Problem = r.summary.Lines, err
		}
		return true
	}
	c := click{at: e.At, start: l.start, cached: e.Answer == Cache, private: e.Private, request: e.Visit}
	if reason, ok := r.check(&e, &c, l.text); !ok {
		r.summary.Skipped[reason]++
		return true
	}
	if l.start < slices.Min(r.counted) {
		r.summary.Skipped[CountedBefore]++
		return true
	}
	r.chunk = append(r.chunk, c)
	return true
}

// futureLimit is how far the clock of a server may be ahead.
const futureLimit = time.Hour

// check completes c, and reports whether the line is a click. If it is not, check returns the reason.
func (r *reading) check(e *Entry, c *click, text []byte) (Reason, bool) {
	switch e.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return NoRedirect, false
	}
	if e.Method != http.MethodGet && e.Method != http.MethodHead {
		return OtherMethod, false
	}
	target, err := url.ParseRequestURI(e.URI)
	if err != nil {
		return NoCode, false
	}
	served := false
	if c.domain, served = r.opts.Hosts.DomainOf(cmp.Or(target.Host, e.Host, r.opts.Host)); !served {
		return OtherHost, false
	}
	c.name = strings.TrimPrefix(target.Path, "/")
	var rest string
	c.code, rest = store.CutPath(target)
	if c.climbs = store.Climbs(rest); rest == "" || c.climbs {
		c.code = ""
	}
	if !store.ValidCode(c.name) && !store.ValidCode(store.TrimCode(c.name)) && !store.ValidCode(c.code) {
		return NoCode, false
	}
	c.request.Head = e.Method == http.MethodHead
	c.request.Query, c.request.QR = visit.CutQR(target.RawQuery)
	return r.checkSource(e, text)
}

// checkSource reports whether no node and no other line counts the visit.
func (r *reading) checkSource(e *Entry, text []byte) (Reason, bool) {
	switch {
	case e.Answer == Proxy:
		return ByProxy, false
	case e.Answer == Elsewhere:
		return TwiceLogged, false
	case e.Answer == Origin && !r.opts.All:
		return FromOrigin, false
	case e.Answer == Unknown && !r.opts.All:
		return Uncached, false
	case e.At.After(r.opts.Now().Add(futureLimit)):
		return Future, false
	case slices.ContainsFunc(r.opts.Exclude, func(p netip.Prefix) bool { return p.Contains(e.Visit.Address) }):
		return Excluded, false
	case e.HasID && !r.seen.add(xxhash.Sum64(text)):
		return Repeated, false
	}
	return 0, true
}
