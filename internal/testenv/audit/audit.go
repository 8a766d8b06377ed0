// Package audit sends requests to Terse as visitors and owners do and logs what Terse
// acknowledges. It compares every answer with the log, and all nodes and databases at the
// end. It is for tests and load runs with faults. It does not cause faults itself.
package audit

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/terse/terse/internal/testenv"
)

const (
	// SeenWithin is the default of Options.SeenWithin.
	SeenWithin = time.Second

	// KeptFor is how long a node without invalidations may show an old copy of a link:
	// the TTL of its cache with jitter.
	KeptFor = 11 * time.Second

	// AnyShard is the shard of a create whose code is not minted yet.
	AnyShard = -1

	// requestTimeout is longer than the timeouts of a node.
	requestTimeout = 20 * time.Second
)

// Node is a server that answers as Terse. URL has no trailing slash. Nodes are compared
// with ==: use pointers, or values that identify the node.
type Node interface{ URL() string }

// Balancer is the address of a load balancer over several nodes. After a write through
// it, the next request may reach a node that still shows the old version.
type Balancer string

// URL returns the address.
func (b Balancer) URL() string { return string(b) }

// Options configure an Auditor.
type Options struct {
	// ShardOf returns the shard of a code, counted from 0. Required.
	ShardOf func(code string) int

	// DSNs are the shards' databases. Each must lead to the primary. Required.
	DSNs []string

	// Token is an API key for links that are edited. Default: links have no owner.
	Token string

	// Connections is how many idle connections to each node are kept. Default 64.
	Connections int

	// SeenWithin is how soon an edit is visible through a node without a cached copy.
	// Default SeenWithin.
	SeenWithin time.Duration
}

func (o *Options) validate() error {
	var errs []error
	if o.ShardOf == nil {
		errs = append(errs, errors.New("option ShardOf is required"))
	}
	if len(o.DSNs) == 0 {
		errs = append(errs, errors.New("option DSNs is required"))
	}
	return errors.Join(errs...)
}

// Auditor logs requests and answers. Safe for concurrent use, except that a link must not
// be edited concurrently.
type Auditor struct {
	opts   Options
	client *http.Client

	mu       sync.Mutex
	kept     time.Duration // how long nodes may show old copies of links
	links    map[string]*history
	unknown  map[string]bool // targets that one link each may have, with a code that no answer contained
	outcomes []outcome
	counts   map[string]Count
	faults   []string // broken promises
}

// New returns an Auditor with an empty log. The caller must close it.
func New(opts Options) (*Auditor, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	opts.Connections = cmp.Or(opts.Connections, 64)
	opts.SeenWithin = cmp.Or(opts.SeenWithin, SeenWithin)
	return &Auditor{
		opts: opts,
		client: &http.Client{
			Timeout:       requestTimeout,
			Transport:     testenv.AsBrowser(&http.Transport{MaxIdleConnsPerHost: opts.Connections, DisableCompression: true}),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		kept: KeptFor, links: map[string]*history{}, unknown: map[string]bool{}, counts: map[string]Count{},
	}, nil
}

// Close closes idle connections.
func (a *Auditor) Close() { a.client.CloseIdleConnections() }

// Authorization returns the header of requests that need the owner of a link.
func (a *Auditor) Authorization() []string {
	return []string{"Authorization", "Bearer " + a.opts.Token}
}

// Keep sets how long nodes may show old copies of links from now on.
func (a *Auditor) Keep(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = d
}

// Count is how many requests of a kind succeeded and failed.
type Count struct{ Done, Failed int }

// Counts returns the counts of all kinds since the start.
func (a *Auditor) Counts() map[string]Count {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.counts)
}

// Took returns the durations of requests of a kind that were sent after since, shortest
// first.
func (a *Auditor) Took(since time.Time, op string) (all []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.outcomes {
		if o.op == op && o.sent.After(since) {
			all = append(all, o.took)
		}
	}
	slices.Sort(all)
	return all
}

// Since returns how many requests of a kind to a shard, sent after moment, succeeded, and
// why the others failed.
func (a *Auditor) Since(moment time.Time, op string, shard int) (done int, failed []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.outcomes {
		switch {
		case o.op != op, o.shard != shard, o.sent.Before(moment):
		case o.failure == "":
			done++
		default:
			failed = append(failed, o.sent.Format("05.000 ")+o.failure)
		}
	}
	return done, failed
}

// Failures returns why requests failed since the start: the first few, most at most.
func (a *Auditor) Failures(most int) (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.outcomes {
		if o.failure != "" && len(all) < most {
			all = append(all, fmt.Sprintf("%s %s: %s", o.sent.Format("15:04:05.000"), o.op, o.failure))
		}
	}
	return all
}

// Broken records a broken promise.
func (a *Auditor) Broken(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// Promises returns all broken promises since the start.
func (a *Auditor) Promises() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.faults)
}

// outcome is the end of one request. An empty failure means success.
type outcome struct {
	op      string // create, edit, or the purpose of a visit
	shard   int    // AnyShard for a create with a minted code
	sent    time.Time
	failure string
	took    time.Duration // set once it is done
}

func (a *Auditor) done(o outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o.took = time.Since(o.sent)
	a.outcomes = append(a.outcomes, o)
	c := a.counts[o.op]
	if o.failure == "" {
		c.Done++
	} else {
		c.Failed++
	}
	a.counts[o.op] = c
}
