package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/terse/terse/store"
)

// blockedReason is the reason recorded on a link that leads to a blocked host.
const blockedReason = "leads to a host that is blocked"

// blockedState is the progress of comparing the links of a source with the blocklist.
type blockedState struct {
	List    string    `json:"list"`    // fingerprint of the list that all links were compared with
	At      time.Time `json:"at"`      // when that comparison ended
	Walking string    `json:"walking"` // fingerprint of the list in the current walk; empty without a walk
	Behind  string    `json:"behind"`  // the last code that the current walk has compared
}

// blockedScan compares the links of one source with the blocklist.
type blockedScan struct {
	w      *Worker
	source Source

	list  string    // the latest fingerprint
	known time.Time // when that fingerprint was first seen
}

const blockedName = "blocklist"

// round walks through all links when the blocklist has changed, and again after
// Interval. With an empty blocklist it reads no links.
func (b *blockedScan) round(ctx context.Context) error {
	now := b.w.opts.Now()
	if list := b.w.opts.Blocklist.Fingerprint(); list != b.list {
		b.list, b.known = list, now
	}
	if now.Sub(b.known) < b.w.opts.Settle {
		return nil
	}
	saved, err := b.source.Links.ClaimScan(ctx, blockedName, b.w.holder, claimTTL)
	if err != nil {
		return err
	}
	var s blockedState
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
	if !b.w.opts.Blocklist.Any() {
		s.done(b.w.opts.Now())
		return save(ctx, b.source, blockedName, b.w.holder, &s)
	}
	return b.walk(ctx, &s)
}

// done records that all links were compared with the list of the walk.
func (s *blockedState) done(now time.Time) {
	*s = blockedState{List: s.Walking, At: now.UTC()}
}

// walk continues after s.Behind. After each page it pauses for as long as reading the
// page took, so it reads at half speed.
func (b *blockedScan) walk(ctx context.Context, s *blockedState) error {
	for ctx.Err() == nil {
		links, took, err := b.w.page(ctx, b.source, s.Behind, pageLen)
		if err != nil {
			return err
		}
		for i := range links {
			if err := b.w.compare(ctx, &links[i]); err != nil {
				return err
			}
		}
		b.w.metrics.scanned.WithLabelValues(blockedName, b.source.Name).Add(float64(len(links)))
		done := len(links) < pageLen
		if done {
			s.done(b.w.opts.Now())
		} else {
			s.Behind = links[len(links)-1].Code
		}
		if err := save(ctx, b.source, blockedName, b.w.holder, s); err != nil || done {
			return err
		}
		pause(ctx, took)
	}
	return ctx.Err()
}

// compare disables a link to a blocked host.
func (w *Worker) compare(ctx context.Context, l *store.Link) error {
	if !l.DisabledAt.IsZero() || !l.DeletedAt.IsZero() {
		return nil
	}
	host, err := store.TargetHost(l.URL)
	if err != nil || !w.opts.Blocklist.Blocks(host) {
		return nil // the blocklist does not apply to a target without a valid host
	}
	return w.disable(ctx, store.Link{Code: l.Code, URL: l.URL}, blockedReason, store.AuthorBlocklist)
}

// save stores the state of a scan and extends the claim.
func save(ctx context.Context, from Source, name, holder string, state any) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return from.Links.SaveScan(ctx, name, holder, string(text), claimTTL)
}
