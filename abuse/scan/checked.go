package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

const checkedName = "reputation"

// checkPage is how many links are read for one round of checks. checksAtOnce is how
// many of these are checked at the same time.
const (
	checkPage    = 20
	checksAtOnce = 8
)

// checkedState is the progress of checking the links of a source.
type checkedState struct {
	Since  time.Time `json:"since"`  // time of the last checked change
	Code   string    `json:"code"`   // code of the last checked change
	Behind string    `json:"behind"` // the last code that the walk has checked; empty at its start
	Began  time.Time `json:"began"`  // when the walk began
	Walks  bool      `json:"walks"`  // whether a walk is under way
}

// checkedScan asks the Checker about the links of one source: new and edited links at
// once, and all links every Interval.
type checkedScan struct {
	w      *Worker
	source Source
	seen   map[seenKey]time.Time // checked changes that will be read again, because they are younger than Late
}

// seenKey is one version of a link.
type seenKey struct {
	code    string
	version int64
}

func newCheckedScan(w *Worker, from Source) *checkedScan {
	return &checkedScan{w: w, source: from, seen: map[seenKey]time.Time{}}
}

// round checks new changes. While a walk through all links is under way, it also
// checks page after page of the walk, and new changes before each page.
func (c *checkedScan) round(ctx context.Context) error {
	saved, err := c.source.Links.ClaimScan(ctx, checkedName, c.w.holder, claimTTL)
	if err != nil {
		clear(c.seen)
		return err
	}
	now := c.w.opts.Now().UTC()
	s := checkedState{Since: now.Add(-c.w.opts.Late), Began: now, Walks: true} // the first round starts a walk
	if saved != "" {
		if err := json.Unmarshal([]byte(saved), &s); err != nil {
			return fmt.Errorf("state of the scan: %w", err)
		}
	}
	if !s.Walks && now.Sub(s.Began) >= c.w.opts.Interval {
		s.Walks, s.Began, s.Behind = true, now, ""
	}
	for ctx.Err() == nil {
		if err := c.changes(ctx, &s); err != nil || !s.Walks {
			return err
		}
		if err := c.walk(ctx, &s); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// changes checks all changes after s. It moves s forward only over changes older than
// Late: a write that commits late may still add a change before the younger ones.
func (c *checkedScan) changes(ctx context.Context, s *checkedState) error {
	after := store.Cursor{CreatedAt: s.Since, Code: s.Code}
	for {
		changes, err := c.read(ctx, after)
		if err != nil {
			return err
		}
		settled := c.w.opts.Now().Add(-c.w.opts.Late)
		var links []store.Link
		for i := range changes {
			l := &changes[i].Link
			if _, ok := c.seen[seenKey{l.Code, l.Version}]; !ok {
				links = append(links, *l)
			}
		}
		if err := c.check(ctx, links); err != nil {
			c.overdue(changes)
			return err
		}
		for i := range changes {
			c.seen[seenKey{changes[i].Link.Code, changes[i].Link.Version}] = changes[i].At
			if changes[i].At.Before(settled) {
				s.Since, s.Code = changes[i].At, changes[i].Link.Code
			}
		}
		for key, at := range c.seen {
			if at.Before(s.Since) {
				delete(c.seen, key)
			}
		}
		if err := save(ctx, c.source, checkedName, c.w.holder, s); err != nil {
			return err
		}
		if len(changes) < checkPage {
			c.w.metrics.backlog.WithLabelValues(c.source.Name).Set(0)
			return nil
		}
		after = changes[len(changes)-1].Place()
	}
}

func (c *checkedScan) read(ctx context.Context, after store.Cursor) ([]store.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.source.Links.Changes(ctx, after, checkPage)
}

// overdue sets the backlog metric to the age of the oldest unchecked change.
func (c *checkedScan) overdue(changes []store.Change) {
	if len(changes) > 0 {
		c.w.metrics.backlog.WithLabelValues(c.source.Name).Set(max(0, c.w.opts.Now().Sub(changes[0].At).Seconds()))
	}
}

// walk checks one page of all links.
func (c *checkedScan) walk(ctx context.Context, s *checkedState) error {
	links, _, err := c.w.page(ctx, c.source, s.Behind, checkPage)
	if err != nil {
		return err
	}
	if err := c.check(ctx, links); err != nil {
		return err
	}
	if len(links) < checkPage {
		s.Walks, s.Behind = false, ""
	} else {
		s.Behind = links[len(links)-1].Code
	}
	return save(ctx, c.source, checkedName, c.w.holder, s)
}

// check asks the Checker about links and disables those with a bad target. It skips
// links that are deleted, disabled or owned by Except. It returns the first error after
// all checks have ended.
func (c *checkedScan) check(ctx context.Context, links []store.Link) error {
	var group errgroup.Group // without a context: an error must not cancel other checks, because one may be the probe of an open breaker
	group.SetLimit(checksAtOnce)
	targets := map[string]*verdict{}
	for _, l := range links {
		if !l.DeletedAt.IsZero() || !l.DisabledAt.IsZero() || c.w.opts.Except != "" && l.Owner == c.w.opts.Except {
			continue
		}
		for _, target := range rules.TargetsOf(&l) {
			v, ok := targets[target]
			if !ok {
				v = &verdict{target: target}
				targets[target] = v
			}
			group.Go(func() error { return c.checkOne(ctx, l, v) })
		}
	}
	err := group.Wait()
	if err == nil {
		c.w.metrics.scanned.WithLabelValues(checkedName, c.source.Name).Add(float64(len(links)))
	}
	return err
}

// verdict is the Checker's answer about one target, requested once a page.
type verdict struct {
	target string
	once   sync.Once
	reason string
	err    error
}

func (c *checkedScan) checkOne(ctx context.Context, l store.Link, v *verdict) error {
	v.once.Do(func() { v.reason, v.err = c.w.opts.Checker.Check(ctx, v.target) })
	if v.err != nil || v.reason == "" {
		return v.err
	}
	overruled, err := c.overruled(ctx, &l)
	if err != nil || overruled {
		return err
	}
	// An admin may enable the link now. It then has another version, which is a new change.
	return c.w.disable(ctx, l, v.reason, store.AuthorReputation)
}

// overruled reports whether the latest decision about exactly these targets of the link was to
// enable it. Only admins enable links. An enable for other targets decides nothing about these: an owner may edit a disabled link and roll it back once it is enabled.
func (c *checkedScan) overruled(ctx context.Context, l *store.Link) (bool, error) {
	revisions, err := c.w.opts.History.Revisions(ctx, l.Code, 0, store.MaxRevisions)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	for i := range len(revisions) - 1 {
		now, before := &revisions[i].Link, &revisions[i+1].Link
		consecutive := now.Version == before.Version+1 // versions after the first one may be gone
		if !consecutive || !sameTargets(now, l) || !sameTargets(before, l) {
			continue
		}
		if was, is := !before.DisabledAt.IsZero(), !now.DisabledAt.IsZero(); was != is {
			return was, nil
		}
	}
	return false, nil
}

// sameTargets reports whether two versions of a link have the same targets.
func sameTargets(a, b *store.Link) bool { return a.URL == b.URL && a.Rules == b.Rules }
