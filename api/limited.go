package api

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terse/terse/api/ratelimit"
)

// maxLimited is the maximum number of clients and networks in limitedClients, about 2 MB.
const maxLimited = 1 << 14

// limitedClients remembers the clients and networks that reached their limit of unknown codes,
// until they may retry. Unknown codes of such a client are rejected without a call of the
// limiter. While places are scarce, links that are not in memory are rejected too. When
// limitedClients is full, it removes some entries: the next unknown code of such a client calls
// the limiter again. The zero value is empty and ready. Safe for concurrent use.
type limitedClients struct {
	mu       sync.Mutex
	limits   map[string]reachedLimit // by ClientKey or NetworkKey
	notEmpty atomic.Bool             // false if limits is empty; saves the lock
}

// reachedLimit is a reached limit. It allows the next request at the time again, and the full
// number of requests at the time whole.
type reachedLimit struct{ again, whole time.Time }

// remember stores that the limit of a key is reached.
func (s *limitedClients) remember(key string, taken ratelimit.Result, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits == nil {
		s.limits = map[string]reachedLimit{}
	}
	if _, is := s.limits[key]; !is && len(s.limits) >= maxLimited {
		s.makeRoom(now)
	}
	s.limits[key] = reachedLimit{again: now.Add(taken.RetryAfter), whole: now.Add(taken.ResetAfter)}
	s.notEmpty.Store(true)
}

// makeRoom checks up to 8 entries. It removes entries that may retry, or else the last one.
func (s *limitedClients) makeRoom(now time.Time) {
	looked := 0
	for key, l := range s.limits {
		if looked++; now.After(l.again) || len(s.limits) >= maxLimited && looked >= 8 {
			delete(s.limits, key)
		}
		if looked >= 8 {
			return
		}
	}
}

// reached returns the reached limit of a client or of its network. It returns false if neither
// is reached.
func (s *limitedClients) reached(client netip.Addr, now time.Time) (ratelimit.Result, bool) {
	if !s.notEmpty.Load() {
		return ratelimit.Result{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range [...]string{ratelimit.ClientKey(client), ratelimit.NetworkKey(client)} {
		l, is := s.limits[key]
		switch {
		case !is:
		case now.Before(l.again):
			return ratelimit.Result{RetryAfter: l.again.Sub(now), ResetAfter: l.whole.Sub(now)}, true
		default:
			delete(s.limits, key)
		}
	}
	s.notEmpty.Store(len(s.limits) > 0)
	return ratelimit.Result{}, false
}

// countUnknown counts an unknown code against the client's limit. It returns a 429 if the
// limit is reached.
func (a *API) countUnknown(ctx context.Context, client netip.Addr) *problem {
	if p := a.unknownLimitReached(client); p != nil {
		return p
	}
	limit := a.opts.Limits.Unknown
	taken := a.takeClient(ctx, "unknown", client, limit, 1)
	if taken.Allowed > 0 {
		return nil
	}
	a.limited.remember(ratelimit.ClientKey(client), taken, a.opts.Clock.Now())
	if network := ratelimit.NetworkKey(client); network != "" {
		if all := a.take(ctx, "unknown:"+network, limit.Times(ratelimit.NetworkTimes), 0); all.RetryAfter > 0 {
			a.limited.remember(network, all, a.opts.Clock.Now())
		}
	}
	return a.tooManyUnknown(taken)
}

// unknownLimitReached returns a 429 if the client is remembered in a.limited, else nil. It
// does not call the limiter.
func (a *API) unknownLimitReached(client netip.Addr) *problem {
	if taken, is := a.limited.reached(client, a.opts.Clock.Now()); is {
		return a.tooManyUnknown(taken)
	}
	return nil
}

func (a *API) tooManyUnknown(taken ratelimit.Result) *problem {
	return tooMany("You requested too many unknown links.", taken, rateHeaders("unknown", a.opts.Limits.Unknown, taken))
}
