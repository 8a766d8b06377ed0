package domains

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/missed"
	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultEvery   = 2 * time.Second
	DefaultTimeout = 2 * time.Second
)

// pageLen is how many rows are read from a source in one call.
const pageLen = 5000

// Source is a database with domains.
type Source struct {
	Name    string // of the shard, in metrics and logs
	Domains store.DomainsSource
}

// Options configure a Map.
type Options struct {
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Sources []Source // all databases; default: none

	Every   time.Duration // between two checks of a source; default DefaultEvery
	Timeout time.Duration // for reading the version of a source; reading all rows may take ten times as long; default DefaultTimeout
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("domains: Options."+problem))
		}
	}
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.Every > 0, "Every must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	return errors.Join(errs...)
}

// Map has all domains and their hosts in memory, in every state. While a source cannot be read,
// its last known domains stay. Safe for concurrent use.
type Map struct {
	opts  Options
	parts []*part

	current  atomic.Pointer[table]
	building sync.Mutex // of current
	missed   missed.Periods
}

// New reads the sources. An unreachable source is not an error: Run retries it.
func New(ctx context.Context, opts Options) (*Map, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	m := &Map{opts: opts}
	for _, s := range opts.Sources {
		m.parts = append(m.parts, &part{source: s, checked: time.Now(), hosts: metrics.hosts.WithLabelValues(s.Name), failures: metrics.failures.WithLabelValues(s.Name)})
	}
	m.rebuild()
	m.Refresh(ctx)
	return m, nil
}

// Refresh reads the sources that have changed, and returns when all of them have answered or
// failed.
func (m *Map) Refresh(ctx context.Context) {
	var reading sync.WaitGroup
	for _, p := range m.parts {
		reading.Go(func() { m.refresh(ctx, p) })
	}
	reading.Wait()
}

// Find returns the domain that has a host, in any state. host is the Host of a request: it may
// have a port, dots at its end, and any spelling that store.CanonicalHost knows. If no domain has
// the name itself, a wildcard host of a domain may match it. known is false if no domain has the
// host. While the map is not complete, known may also be false because a domain was not read yet,
// see Complete. Find does not allocate for a name of ASCII letters, digits, dots and hyphens.
//
// A host that is not verified serves no links. If its domain is active because another host is
// verified, Find returns the domain as pending. If an active domain has a verified wildcard host
// that matches, Find returns that domain instead. While the map is not complete, a host that only
// matches a wildcard host is unknown: another domain may have the host itself.
//
// The domain is shared: the caller must not change it.
func (m *Map) Find(host string) (d *Domain, known bool) {
	t := m.current.Load()
	d, wild := t.find(host)
	if d == nil || wild && !t.complete {
		return nil, false
	}
	return d, true
}

// claimant returns the domain that has exactly this canonical host, in any state, or nil.
func (m *Map) claimant(host string) *Domain { return m.current.Load().claimant(host) }

// Domain returns the domain with an ID, in any state. See Find for known and for sharing.
func (m *Map) Domain(id string) (d *Domain, known bool) {
	d, known = m.current.Load().byID[id]
	return d, known
}

// Named implements links.Domains.
func (m *Map) Named(host string) (store.Domain, error) { return m.known(m.Find(host)) }

// ByID implements links.Domains.
func (m *Map) ByID(id string) (store.Domain, error) { return m.known(m.Domain(id)) }

// known returns the domain of Find or Domain, or the reason for its absence.
func (m *Map) known(d *Domain, known bool) (store.Domain, error) {
	switch {
	case known:
		return d.Domain, nil
	case !m.Complete():
		return store.Domain{}, fmt.Errorf("%w: some domains are not known yet", store.ErrUnavailable)
	}
	return store.Domain{}, store.ErrNotFound
}

// Serves implements store.DomainHosts. Hosts of a source that was never read are not served.
func (m *Map) Serves(host string) bool {
	d, _ := m.current.Load().find(host)
	return d != nil && d.State != store.DomainRemoved && (d.verified(host) || d.verified(wildcardOf(host)))
}

// Complete reports whether every source has been read at least once. Until then, a host that Find
// does not know may have a domain.
func (m *Map) Complete() bool { return m.current.Load().complete }

// AnyVerified reports whether a known domain, in any state, has a verified host.
func (m *Map) AnyVerified() bool { return m.current.Load().verified }

// Missed returns the time since which this process may have accepted links to hosts that were served
// and that it did not know, in the periods after the given number. The process could not read a
// source in such a period, at its start or later, and has read it since. latest is the number of
// the latest period. If it equals the given number, there are no new periods, and since is the zero
// time. Numbers begin at 1.
func (m *Map) Missed(after int) (since time.Time, latest int) { return m.missed.After(after) }

// Fingerprint returns a text that changes when a host begins or ceases to be served, see Serves.
// Processes with the same domains have the same fingerprint.
func (m *Map) Fingerprint() string { return strconv.FormatUint(m.current.Load().served, 16) }

// All returns all known domains in no order. The domains are shared: the caller must not change
// them.
func (m *Map) All() []*Domain { return m.current.Load().all() }

// Run rereads the sources when they change, until ctx ends.
func (m *Map) Run(ctx context.Context) {
	var following sync.WaitGroup
	for _, p := range m.parts {
		following.Go(func() { m.follow(ctx, p) })
	}
	following.Wait()
}

// follow refreshes one part every Options.Every. Each part has its own loop, so that a source
// that hangs does not delay the others.
func (m *Map) follow(ctx context.Context, p *part) {
	tick := time.NewTicker(m.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.refresh(ctx, p)
		}
	}
}

// refresh reads a part if it has changed. It logs the first failure in a row, and the first
// success after failures.
func (m *Map) refresh(ctx context.Context, p *part) {
	p.reading.Lock()
	defer p.reading.Unlock()
	began := time.Now()
	next, err := p.read(ctx, m.opts.Timeout)
	failed := p.failing
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !p.failing:
		m.opts.Logger.ErrorContext(ctx, "domains cannot be read, the last known ones stay", "shard", p.source.Name, "err", err)
	case err == nil && p.failing:
		m.opts.Logger.InfoContext(ctx, "domains are read again", "shard", p.source.Name)
	}
	if p.failing = err != nil; err != nil {
		p.failures.Inc()
	}
	if next != nil {
		first := p.known.Swap(next) == nil
		p.hosts.Set(float64(len(next.hosts)))
		m.rebuild()
		m.missed.Changed(p.checked, time.Now(), first && failed)
	}
	if err == nil {
		p.checked = began
	}
}

// rebuild makes a new table from the latest content of all parts.
func (m *Map) rebuild() {
	m.building.Lock()
	defer m.building.Unlock()
	known := make([]*content, len(m.parts))
	for i, p := range m.parts {
		known[i] = p.known.Load()
	}
	m.current.Store(newTable(known))
}

// part is one source.
type part struct {
	source   Source
	hosts    prometheus.Gauge
	failures prometheus.Counter
	known    atomic.Pointer[content] // nil before the first read

	reading sync.Mutex // guards the fields below
	failing bool       // whether the latest read failed
	checked time.Time  // when the latest successful read began; the start of the process before that
}

// content is everything in one source. It never changes.
type content struct {
	version int64
	domains []store.Domain
	hosts   []store.DomainHost
}

// read returns the content of the source, or nil if it is the same as in the previous read.
func (p *part) read(ctx context.Context, timeout time.Duration) (*content, error) {
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	version, err := p.source.Domains.DomainsVersion(asking)
	if last := p.known.Load(); err != nil || last != nil && last.version == version {
		return nil, err
	}
	ctx, cancel = context.WithTimeout(ctx, 10*timeout)
	defer cancel()
	// Changes during the read increase the version, so they are read next time.
	c := &content{version: version}
	c.domains, err = readAll(func(after string) ([]store.Domain, error) { return p.source.Domains.ListDomains(ctx, after, pageLen) },
		func(d *store.Domain) string { return d.ID })
	if err != nil {
		return nil, err
	}
	c.domains = slices.Clone(slices.DeleteFunc(c.domains, func(d store.Domain) bool { return buried(&d) }))
	c.hosts, err = readAll(func(after string) ([]store.DomainHost, error) { return p.source.Domains.ListHosts(ctx, after, pageLen) },
		func(h *store.DomainHost) string { return h.Host })
	if err != nil {
		return nil, err
	}
	return c, nil
}

// readAll reads all pages of a list. key is the cursor behind a row.
func readAll[T any](page func(after string) ([]T, error), key func(*T) string) (all []T, err error) {
	for after := ""; ; {
		rows, err := page(after)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if len(rows) < pageLen {
			return all, nil
		}
		after = key(&rows[len(rows)-1])
	}
}
