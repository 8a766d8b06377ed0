package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// The names of the scans that compare the links with hosts.
const (
	blockedName = "blocklist"
	ownName     = "own_hosts"
)

// forbidden is a set of hosts that must not be targets of links.
type forbidden struct {
	name   string // of the scan
	author string // of the disabled links, in their history
	reason string // recorded on these links

	matches     func(host string) bool
	any         func() bool
	fingerprint func() string // changes when the hosts change
	missed      func(after int) (since time.Time, latest int)
}

// forbiddenHosts returns what the options forbid.
func (o *Options) forbiddenHosts() []*forbidden {
	all := []*forbidden{{
		name: blockedName, author: store.AuthorBlocklist, reason: "leads to a host that is blocked",
		matches: o.Blocklist.Blocks, any: o.Blocklist.Any, fingerprint: o.Blocklist.Fingerprint,
		missed: o.Blocklist.Missed,
	}}
	if o.Own != nil {
		all = append(all, &forbidden{
			name: ownName, author: store.AuthorDomains, reason: "leads to a host of this URL shortener",
			matches: o.Own.Serves, any: o.Own.AnyVerified, fingerprint: o.Own.Fingerprint,
			missed: o.Own.Missed,
		})
	}
	return all
}

// hostState is the progress of comparing the links of a source with forbidden hosts.
type hostState struct {
	List    string    `json:"list"`    // fingerprint of the hosts that all links were compared with
	At      time.Time `json:"at"`      // when that comparison ended
	Walking string    `json:"walking"` // fingerprint of the hosts in the current walk; empty without a walk
	Behind  string    `json:"behind"`  // the last code that the current walk has compared
}

// hostScan compares the links of one source with forbidden hosts.
type hostScan struct {
	w      *Worker
	source Source
	*forbidden

	list    string    // the latest fingerprint
	changed time.Time // when the first change since the latest round was seen; the zero time: none
}

// round walks through all links when the forbidden hosts have changed, and again after
// Interval. Without such hosts it reads no links.
func (b *hostScan) round(ctx context.Context) error {
	now := b.w.opts.Now()
	if list := b.fingerprint(); list != b.list {
		b.list = list
		if b.changed.IsZero() { // later changes do not delay the walk any longer
			b.changed = now
		}
	}
	if now.Sub(b.changed) < b.w.opts.Settle {
		return nil
	}
	b.changed = time.Time{}
	saved, err := b.source.Links.ClaimScan(ctx, b.name, b.w.holder, claimTTL)
	if err != nil {
		return err
	}
	var s hostState
	if saved != "" {
		if err := json.Unmarshal([]byte(saved), &s); err != nil {
			return fmt.Errorf("state of the scan: %w", err)
		}
	}
	if s.List == b.list && now.Sub(s.At) < b.w.opts.Interval {
		return nil
	}
	if s.Walking != b.list {
		s.Walking, s.Behind = b.list, ""
	}
	if !b.any() {
		s.done(b.w.opts.Now())
		return save(ctx, b.source, b.name, b.w.holder, &s)
	}
	return b.walk(ctx, &s)
}

// done records that all links were compared with the hosts of the walk.
func (s *hostState) done(now time.Time) {
	*s = hostState{List: s.Walking, At: now.UTC()}
}

// walk continues after s.Behind. After each page it pauses for as long as reading the
// page took, so it reads at half speed.
func (b *hostScan) walk(ctx context.Context, s *hostState) error {
	for ctx.Err() == nil {
		links, took, err := b.w.page(ctx, b.source, s.Behind, pageLen)
		if err != nil {
			return err
		}
		for i := range links {
			if err := b.w.compare(ctx, &links[i], b.forbidden); err != nil {
				return err
			}
		}
		b.w.metrics.scanned.WithLabelValues(b.name, b.source.Name).Add(float64(len(links)))
		done := len(links) < pageLen
		if done {
			s.done(b.w.opts.Now())
		} else {
			s.Behind = links[len(links)-1].Code
		}
		if err := save(ctx, b.source, b.name, b.w.holder, s); err != nil || done {
			return err
		}
		pause(ctx, took)
	}
	return ctx.Err()
}

// compare disables a link with a target on a forbidden host.
func (w *Worker) compare(ctx context.Context, l *store.Link, f *forbidden) error {
	if !l.DisabledAt.IsZero() || !l.DeletedAt.IsZero() {
		return nil
	}
	for _, target := range rules.TargetsOf(l) {
		host, err := store.TargetHost(target)
		if err == nil && f.matches(host) { // a target without a valid host leads to no forbidden one
			return w.disable(ctx, store.Link{Code: l.Code, URL: l.URL, Rules: l.Rules}, f.reason, f.author)
		}
	}
	return nil
}

// save stores the state of a scan and extends the claim.
func save(ctx context.Context, from Source, name, holder string, state any) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return from.Links.SaveScan(ctx, name, holder, string(text), claimTTL)
}
