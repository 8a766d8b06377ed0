// Package audit asks a Terse for links as visitors and owners do, keeps a log of what
// was acknowledged, and holds every answer to it at once, and all nodes and databases
// at the end. It is for tests and load runs under faults; it breaks nothing itself.
package audit

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// SeenWithin is when an edit is seen by a node that keeps nothing of the link.
	SeenWithin = time.Second

	// KeptFor is how long a node that hears of no edits may keep what it knows of a
	// link: the cache's TTL with its jitter.
	KeptFor = 11 * time.Second

	// AnyShard is where a link goes whose code is yet to be minted.
	AnyShard = -1

	// requestTimeout is longer than a node takes to give up.
	requestTimeout = 20 * time.Second
)

// Node is something that answers as Terse, at an address that ends without a slash.
// Nodes are compared: use pointers, or values that say all.
type Node interface{ URL() string }

// Balancer is the address of a load balancer over several nodes. What one of them did,
// the next may hear of later.
type Balancer string

// URL returns the address.
func (b Balancer) URL() string { return string(b) }

// Options say whom to audit.
type Options struct {
	// ShardOf tells the shard of a code, from 0. Required.
	ShardOf func(code string) int

	// DSNs are of the shards' databases, of whichever server takes writes. Required.
	DSNs []string

	// Token is an API key that owns links to be edited. Default: none are.
	Token string

	// Connections is how many are kept open to each node. Default 64.
	Connections int
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

// Auditor keeps a log of what nodes were asked and how they answered. Safe for
// concurrent use, but for the writers of one link.
type Auditor struct {
	opts   Options
	client *http.Client

	mu       sync.Mutex
	kept     time.Duration // how long nodes may keep what they know; KeptFor where they hear of no edits
	links    map[string]*history
	unknown  map[string]bool // targets to which one link each may lead, under a code that nobody told
	outcomes []outcome
	counts   map[string]Count
	faults   []string // promises that were broken
}

// New returns an auditor with an empty log. The caller ends it with Close.
func New(opts Options) (*Auditor, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if opts.Connections == 0 {
		opts.Connections = 64
	}
	return &Auditor{
		opts: opts,
		client: &http.Client{
			Timeout:       requestTimeout,
			Transport:     &http.Transport{MaxIdleConnsPerHost: opts.Connections, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		kept: KeptFor, links: map[string]*history{}, unknown: map[string]bool{}, counts: map[string]Count{},
	}, nil
}

// Close closes idle connections.
func (a *Auditor) Close() { a.client.CloseIdleConnections() }

// Authorization returns the header of requests about links that are edited.
func (a *Auditor) Authorization() []string {
	return []string{"Authorization", "Bearer " + a.opts.Token}
}

// Keep says how long nodes may keep what they know from now on.
func (a *Auditor) Keep(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = d
}

// Count is how many requests of a kind did what they should, and how many did not.
type Count struct{ Done, Failed int }

// Counts returns those of all kinds since the start.
func (a *Auditor) Counts() map[string]Count {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.counts)
}

// Took returns how long requests of a kind took that were sent after a moment,
// shortest first.
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

// Since returns how many requests of a kind that were sent to a shard after a
// moment have done what they should, and why the others have not.
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

// Failures returns why requests failed since the start, the first of them.
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

// Broken adds a promise that was broken.
func (a *Auditor) Broken(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// Promises returns those that were broken since the start.
func (a *Auditor) Promises() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.faults)
}

// outcome is how one request ended. An empty failure stands for what was wanted.
type outcome struct {
	op      string // create or edit, or what a visit is for
	shard   int    // AnyShard when the request did not say
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
