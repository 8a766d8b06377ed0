package api

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terse/terse/api/ratelimit"
)

// maxSpent is how many clients are remembered, some 2 MB of them.
const maxSpent = 1 << 14

// spent remembers which clients, and which sites, have asked for as many unknown codes as
// they may, for as long as they were told to wait. So not each code of a flood is counted
// by itself, nor looked for when room is scarce. What it forgets for want of room is only
// counted again. The zero value is empty and ready; safe for concurrent use.
type spent struct {
	mu  sync.Mutex
	by  map[string]spentLimit // by ClientKey or SiteKey
	any atomic.Bool           // whether there is something in by, or was
}

// spentLimit is a limit that is reached.
type spentLimit struct{ again, whole time.Time }

// remember keeps that the limit of a key is reached.
func (s *spent) remember(key string, taken ratelimit.Result, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]spentLimit{}
	}
	if _, is := s.by[key]; !is && len(s.by) >= maxSpent {
		s.makeRoom(now)
	}
	s.by[key] = spentLimit{again: now.Add(taken.RetryAfter), whole: now.Add(taken.ResetAfter)}
	s.any.Store(true)
}

// makeRoom drops some of which the time is over, or any one.
func (s *spent) makeRoom(now time.Time) {
	looked := 0
	for key, l := range s.by {
		if looked++; now.After(l.again) || len(s.by) >= maxSpent && looked >= 8 {
			delete(s.by, key)
		}
		if looked >= 8 {
			return
		}
	}
}

// of returns what a client is told whose limit, or whose site's, is reached. It is false
// for others.
func (s *spent) of(client netip.Addr, now time.Time) (ratelimit.Result, bool) {
	if !s.any.Load() {
		return ratelimit.Result{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range [...]string{ratelimit.ClientKey(client), ratelimit.SiteKey(client)} {
		l, is := s.by[key]
		switch {
		case !is:
		case now.Before(l.again):
			return ratelimit.Result{RetryAfter: l.again.Sub(now), ResetAfter: l.whole.Sub(now)}, true
		default:
			delete(s.by, key)
		}
	}
	s.any.Store(len(s.by) > 0)
	return ratelimit.Result{}, false
}

// countUnknown counts an unknown code against the client's limit, and returns the refusal
// when that is reached.
func (a *API) countUnknown(ctx context.Context, client netip.Addr) *problem {
	if p := a.spentUnknown(client); p != nil {
		return p
	}
	limit := a.opts.Limits.Unknown
	taken := a.takeClient(ctx, "unknown", client, limit, 1)
	if taken.Allowed > 0 {
		return nil
	}
	a.spent.remember(ratelimit.ClientKey(client), taken, a.opts.Now())
	if site := ratelimit.SiteKey(client); site != "" {
		if all := a.take(ctx, "unknown:"+site, limit.Times(ratelimit.SiteTimes), 0); all.RetryAfter > 0 {
			a.spent.remember(site, all, a.opts.Now())
		}
	}
	return a.tooManyUnknown(taken)
}

// spentUnknown returns the refusal of a client that is known to have reached its limit of
// unknown codes; nil for others.
func (a *API) spentUnknown(client netip.Addr) *problem {
	if taken, is := a.spent.of(client, a.opts.Now()); is {
		return a.tooManyUnknown(taken)
	}
	return nil
}

func (a *API) tooManyUnknown(taken ratelimit.Result) *problem {
	return tooMany("Too many unknown links were asked for.", taken, rateHeaders("unknown", a.opts.Limits.Unknown, taken))
}
