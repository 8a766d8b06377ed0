// Package blocklist tells to which hosts no link may lead: those of a file, and
// those that operators keep in the database. It holds all of them in memory, and
// follows both while it runs.
//
// It blocks nothing by itself: store.Rules asks it for links that are created or
// edited, and store/scan for those that exist.
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

	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultEvery   = 2 * time.Second
	DefaultTimeout = 2 * time.Second
)

// pageLen is how many hosts are read from a source at once.
const pageLen = 5000

// Source is a place in which operators keep hosts.
type Source struct {
	Name string // of the shard, in metrics and logs
	List store.BlocklistSource
}

// Options configure New.
type Options struct {
	File       string                // of hosts, one a line; empty: none
	Sources    []Source              // default: none
	Every      time.Duration         // between two looks at the file and the sources; default DefaultEvery
	Timeout    time.Duration         // how long a source may take to say whether it changed; ten times as long to be read; default DefaultTimeout
	Logger     *slog.Logger          // required
	Registerer prometheus.Registerer // required
}

func (o *Options) validate() error {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("blocklist: "+problem))
		}
	}
	check(o.Every > 0, "Every must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	check(o.Logger != nil, "Logger is required")
	check(o.Registerer != nil, "Registerer is required")
	return errors.Join(errs...)
}

// List is a store.Blocker over a file and sources. What it knew last of one that
// cannot be read stays blocked. Safe for concurrent use.
type List struct {
	opts  Options
	parts []*part
}

var _ store.Blocker = (*List)(nil)

// New reads the file and the sources. A file that is not good is an error; a source
// that cannot be reached is read by Run as soon as it can.
func New(ctx context.Context, opts Options) (*List, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("blocklist: register metrics: %w", err)
	}
	l := &List{opts: opts}
	if opts.File != "" {
		l.add("file", &fileReader{path: opts.File}, m.ofFile())
	}
	for _, s := range opts.Sources {
		l.add("shard "+s.Name, &sourceReader{list: s.List, timeout: opts.Timeout}, m.ofShard(s.Name))
	}
	for _, p := range l.parts {
		err := p.refresh(ctx)
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

// Fingerprint returns a text that is another one for another list. Lists of the
// same file and sources have the same.
func (l *List) Fingerprint() string {
	var b strings.Builder
	for _, p := range l.parts {
		b.WriteString(p.name + ":" + p.known.Load().version + ";")
	}
	return strconv.FormatUint(xxhash.Sum64String(b.String()), 16)
}

// Run follows the file and the sources until ctx ends.
func (l *List) Run(ctx context.Context) {
	var following sync.WaitGroup
	for _, p := range l.parts {
		following.Go(func() { l.follow(ctx, p) })
	}
	following.Wait()
}

// follow looks at one part every so often, so that one that hangs keeps no other
// waiting.
func (l *List) follow(ctx context.Context, p *part) {
	tick := time.NewTicker(l.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.note(ctx, p, p.refresh(ctx))
		}
	}
}

// note logs when a part begins to fail, and when it is read again.
func (l *List) note(ctx context.Context, p *part, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !p.failing:
		l.opts.Logger.ErrorContext(ctx, "blocklist cannot be read, what was known of it stays blocked", "source", p.name, "err", err)
	case err == nil && p.failing:
		l.opts.Logger.InfoContext(ctx, "blocklist is read again", "source", p.name)
	}
	p.failing = err != nil
	if err != nil {
		p.metrics.failures.Inc()
	}
	p.metrics.hosts.Set(float64(p.known.Load().set.len()))
}

// part is one place of hosts.
type part struct {
	name    string
	reader  reader
	metrics *partMetrics
	known   atomic.Pointer[known]
	failing bool // the latest look; of one goroutine at a time
}

// known is what was last read of a part.
type known struct {
	version string // of the content
	set     *set
}

// reader looks at a place.
type reader interface {
	// read returns what is there, or nil when that is what it returned last.
	read(ctx context.Context) (*known, error)
}

func (p *part) refresh(ctx context.Context) error {
	k, err := p.reader.read(ctx)
	if err == nil && k != nil {
		p.known.Store(k)
	}
	return err
}

// fileReader reads a file when it has changed.
type fileReader struct {
	path string
	seen os.FileInfo // when it was last read, good or bad; nil: never
	bad  error       // what was wrong with it then
}

// settledAfter is how old a file must be for its time of change to tell one
// content from the next.
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
		f.seen = nil // it may be written still
	}
	if err != nil {
		return nil, err
	}
	return &known{version: strconv.FormatUint(s.sum, 16), set: s}, nil
}

// sourceReader reads a source when it has changed.
type sourceReader struct {
	list    store.BlocklistSource
	timeout time.Duration
	seen    int64 // version that was last read
	any     bool  // whether one was
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
	// What was added while it was read has made a later version, which is read next.
	r.seen, r.any = version, true
	return &known{version: strconv.FormatInt(version, 10), set: b.build()}, nil
}
