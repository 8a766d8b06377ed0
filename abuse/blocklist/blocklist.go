// Package blocklist knows the blocked hosts: links must not lead to them. Operators list
// them in a file or block them in the database. The package keeps all of them in memory
// and rereads both sources when they change.
//
// It does not reject links itself. store.Rules asks it about new and edited links, and
// abuse/scan about existing ones.
package blocklist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/missed"
	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultEvery   = 2 * time.Second
	DefaultTimeout = 2 * time.Second
)

// pageLen is how many hosts are read from a source in one call.
const pageLen = 5000

// Source is a database with blocked hosts.
type Source struct {
	Name string // of the shard, in metrics and logs
	List store.BlocklistSource
}

// Options configure a List.
type Options struct {
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	File    string   // path of a file with one host a line; default: no file
	Sources []Source // default: none

	Every   time.Duration // between two checks of the file and the sources; default DefaultEvery
	Timeout time.Duration // for reading the version of a source; reading all hosts may take ten times as long; default DefaultTimeout

	Now func() time.Time // the time of the database; default time.Now
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("blocklist: Options."+problem))
		}
	}
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.Every > 0, "Every must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	return errors.Join(errs...)
}

// List is a store.Blocker over a file and sources. While one of them cannot be read,
// its last known hosts stay blocked. Safe for concurrent use.
type List struct {
	opts   Options
	parts  []*part
	missed missed.Periods
}

var _ store.Blocker = (*List)(nil)

// New reads the file and the sources. An invalid file is an error. An unreachable
// source is not an error: Run retries it.
func New(ctx context.Context, opts Options) (*List, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	l := &List{opts: opts}
	if opts.File != "" {
		l.add("file", &fileReader{path: opts.File}, m.ofFile())
	}
	for _, s := range opts.Sources {
		l.add("shard "+s.Name, &sourceReader{list: s.List, timeout: opts.Timeout}, m.ofShard(s.Name))
	}
	for _, p := range l.parts {
		p.checked = opts.Now()
		_, err := p.refresh(ctx)
		if _, ok := p.reader.(*fileReader); ok && err != nil {
			return nil, fmt.Errorf("blocklist: %w", err)
		}
		l.note(ctx, p, err)
	}
	return l, nil
}

func (l *List) add(name string, r reader, m *partMetrics) {
	p := &part{name: name, reader: r, metrics: m}
	p.known.Store(&known{set: newBuilder().build()})
	l.parts = append(l.parts, p)
}

// Blocks implements store.Blocker.
func (l *List) Blocks(host string) bool {
	for _, p := range l.parts {
		if p.known.Load().set.blocks(host) {
			return true
		}
	}
	return false
}

// Any reports whether any host is blocked.
func (l *List) Any() bool {
	return slices.ContainsFunc(l.parts, func(p *part) bool { return p.known.Load().set.len() > 0 })
}

// Fingerprint returns a text that changes when the list changes. Processes with the
// same file and sources have the same fingerprint.
func (l *List) Fingerprint() string {
	var b strings.Builder
	for _, p := range l.parts {
		b.WriteString(p.name + ":" + p.known.Load().version + ";")
	}
	return strconv.FormatUint(xxhash.Sum64String(b.String()), 16)
}

// Missed returns the time since which this process may have accepted links to hosts that were
// blocked and that it did not know, in the periods after the given number. The process could
// not read a source in such a period, at its start or later, and has read it since. latest is
// the number of the latest period. If it equals the given number, there are no new periods, and
// since is the zero time. Numbers begin at 1.
func (l *List) Missed(after int) (since time.Time, latest int) { return l.missed.After(after) }

// Run rereads the file and the sources when they change, until ctx ends.
func (l *List) Run(ctx context.Context) {
	var following sync.WaitGroup
	for _, p := range l.parts {
		following.Go(func() { l.follow(ctx, p) })
	}
	following.Wait()
}

// follow refreshes one part every Options.Every. Each part has its own loop, so that a
// source that hangs does not delay the others.
func (l *List) follow(ctx context.Context, p *part) {
	tick := time.NewTicker(l.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.note(ctx, p, l.refresh(ctx, p))
		}
	}
}

// refresh rereads one part. If the new content is old, it adds a missed period.
func (l *List) refresh(ctx context.Context, p *part) error {
	first, began := p.known.Load().version == "", l.opts.Now()
	changed, err := p.refresh(ctx)
	if err != nil {
		return err
	}
	if changed {
		l.missed.Changed(p.checked, l.opts.Now(), first)
	}
	p.checked = began
	return nil
}

// note logs the first failure in a row, and the first success after failures.
func (l *List) note(ctx context.Context, p *part, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !p.failing:
		l.opts.Logger.ErrorContext(ctx, "blocklist cannot be read, its last known hosts stay blocked", "source", p.name, "err", err)
	case err == nil && p.failing:
		l.opts.Logger.InfoContext(ctx, "blocklist is read again", "source", p.name)
	}
	p.failing = err != nil
	if err != nil {
		p.metrics.failures.Inc()
	}
	p.metrics.hosts.Set(float64(p.known.Load().set.len()))
}

// part is the file or one source.
type part struct {
	name    string
	reader  reader
	metrics *partMetrics
	known   atomic.Pointer[known]

	// Only one goroutine at a time uses these.
	failing bool      // whether the latest read failed
	checked time.Time // when the latest successful read began; the start of the process before that
}

// known is the latest content of a part.
type known struct {
	version string // of the content
	set     *set
}

// reader reads the file or a source.
type reader interface {
	// read returns the content, or nil when it is the same as in the previous call.
	read(ctx context.Context) (*known, error)
}

// refresh rereads the part. changed reports whether its content differs.
func (p *part) refresh(ctx context.Context) (changed bool, err error) {
	k, err := p.reader.read(ctx)
	if err != nil || k == nil {
		return false, err
	}
	before := p.known.Swap(k)
	return k.version != before.version, nil
}

// fileReader reads a file if it has changed.
type fileReader struct {
	path string
	seen os.FileInfo // of the latest read, valid or not; nil before the first
	bad  error       // the error of that read
}

// settledAfter is how old a file must be before its modification time proves that it is
// unchanged. A younger file is read again.
const settledAfter = 5 * time.Second

func (f *fileReader) read(context.Context) (*known, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if f.seen != nil && os.SameFile(f.seen, info) && f.seen.ModTime().Equal(info.ModTime()) && f.seen.Size() == info.Size() {
		return nil, f.bad
	}
	s, err := readFile(f.path)
	f.bad = err
	if f.seen = info; time.Since(info.ModTime()) < settledAfter {
		f.seen = nil // the file may still be written
	}
	if err != nil {
		return nil, err
	}
	return &known{version: strconv.FormatUint(s.sum, 16), set: s}, nil
}

// sourceReader reads a source if it has changed.
type sourceReader struct {
	list    store.BlocklistSource
	timeout time.Duration
	seen    int64 // version of the latest read
	any     bool  // whether there was a read
}

func (r *sourceReader) read(ctx context.Context) (*known, error) {
	asking, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	version, err := r.list.BlocklistVersion(asking)
	if err != nil || r.any && version == r.seen {
		return nil, err
	}
	ctx, cancel = context.WithTimeout(ctx, 10*r.timeout)
	defer cancel()
	b := newBuilder()
	for after := ""; ; {
		page, err := r.list.BlockedHosts(ctx, after, pageLen)
		if err != nil {
			return nil, err
		}
		for i := range page {
			b.add(page[i].Pattern)
		}
		if len(page) < pageLen {
			break
		}
		after = page[len(page)-1].Pattern.String()
	}
	// Hosts added during the read have increased the version, so they are read next time.
	r.seen, r.any = version, true
	return &known{version: strconv.FormatInt(version, 10), set: b.build()}, nil
}
