package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/terse/terse/store"
)

// blockedReason is why a link to a blocked host is disabled.
const blockedReason = "leads to a host that is blocked"

// blockedState is how far the links of a place were held against the blocklist.
type blockedState struct {
	List    string    `json:"list"`    // fingerprint of the list that all of them were held against
	At      time.Time `json:"at"`      // when that was done
	Walking string    `json:"walking"` // fingerprint of the list that they are held against now; empty for none
	Behind  string    `json:"behind"`  // code up to which that was done
}

// blockedScan holds the links of one place against the blocklist.
type blockedScan struct {
	w     *Worker
	place Place

	list  string    // the latest fingerprint
	known time.Time // since when it is
}

const blockedName = "blocklist"

// round walks through all links when the blocklist is another one than theirs. An
// empty one asks for no walk.
func (b *blockedScan) round(ctx context.Context) error {
	now := b.w.opts.Now()
	if list := b.w.opts.Blocklist.Fingerprint(); list != b.list {
		b.list, b.known = list, now
	}
	if now.Sub(b.known) < b.w.opts.Settle {
		return nil
	}
	saved, err := b.place.Links.ClaimScan(ctx, blockedName, b.w.holder, holdFor)
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
		return save(ctx, b.place, blockedName, b.w.holder, &s)
	}
	return b.walk(ctx, &s)
}

// done says that all links were held against the list of the walk.
func (s *blockedState) done(now time.Time) {
	*s = blockedState{List: s.Walking, At: now.UTC()}
}

// walk goes on where s says, at half of the speed at which links can be read.
func (b *blockedScan) walk(ctx context.Context, s *blockedState) error {
	for ctx.Err() == nil {
		links, took, err := b.w.page(ctx, b.place, s.Behind, pageLen)
		if err != nil {
			return err
		}
		for i := range links {
			if err := b.hold(ctx, &links[i]); err != nil {
				return err
			}
		}
		b.w.metrics.scanned.WithLabelValues(blockedName, b.place.Name).Add(float64(len(links)))
		done := len(links) < pageLen
		if done {
			s.done(b.w.opts.Now())
		} else {
			s.Behind = links[len(links)-1].Code
		}
		if err := save(ctx, b.place, blockedName, b.w.holder, s); err != nil || done {
			return err
		}
		pause(ctx, took)
	}
	return ctx.Err()
}

// hold disables a link whose host is blocked.
func (b *blockedScan) hold(ctx context.Context, l *store.Link) error {
	if !l.DisabledAt.IsZero() {
		return nil
	}
	host, err := store.TargetHost(l.URL)
	if err != nil || !b.w.opts.Blocklist.Blocks(host) {
		return nil // a target that no rule allows any more is no matter of the blocklist
	}
	return b.w.disable(ctx, l.Code, l.URL, blockedReason, store.AuthorBlocklist)
}

// save keeps the state of a scan.
func save(ctx context.Context, p Place, name, holder string, state any) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return p.Links.SaveScan(ctx, name, holder, string(text), holdFor)
}
