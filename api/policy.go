package api

import (
	"strconv"
	"time"

	"github.com/terse/terse/store"
)

// cachePolicy says for how long an answer may be kept, and by whom.
type cachePolicy struct {
	browser string // Cache-Control
	cdn     string // CDN-Cache-Control (RFC 9213), sent when a CDN is configured; empty for none
}

// Seconds for which answers are kept.
const (
	browserPermanent = 90 // 301 and 308
	cdnLive          = 60
	cdnGone          = 60
	cdnUnknown       = 2
)

// The policies that do not depend on the link.
var (
	policyTemporary = cachePolicy{"private, max-age=0", "max-age=60, stale-while-revalidate=30, stale-if-error=86400"}
	policyPermanent = cachePolicy{"private, max-age=90", "max-age=60, stale-while-revalidate=30, stale-if-error=86400"}
	policyNever     = cachePolicy{"no-store", "no-store"}
	policyUnknown   = cachePolicy{"no-store", "max-age=2"}
	policyGone      = cachePolicy{"no-store", "max-age=60"}
	policyError     = cachePolicy{"no-store", ""}
)

// livePolicy chooses the policy of a redirect with the given status. An answer
// that must be counted, or asked a password for, is never kept; one that ends
// is kept until its end at most, and never served stale.
func livePolicy(l *store.Link, status int, now time.Time) cachePolicy {
	permanent := status == 301 || status == 308
	switch {
	case l.MaxClicks > 0 || l.PasswordHash != "":
		return policyNever
	case !l.ExpiresAt.IsZero():
		return endingPolicy(l.ExpiresAt.Sub(now), permanent)
	case permanent:
		return policyPermanent
	}
	return policyTemporary
}

// endingPolicy caps the policy of a live link by the time it has left.
func endingPolicy(left time.Duration, permanent bool) cachePolicy {
	seconds := int(min(left, time.Hour) / time.Second)
	if seconds <= 0 {
		return policyNever
	}
	p := cachePolicy{policyTemporary.browser, maxAge(min(cdnLive, seconds))}
	if permanent {
		p.browser = "private, " + maxAge(min(browserPermanent, seconds))
	}
	return p
}

// notLivePolicy chooses the policy of an answer that is no redirect.
func notLivePolicy(l *store.Link, state store.State, now time.Time) cachePolicy {
	if state != store.NotStarted {
		return policyGone
	}
	seconds := int(min(l.StartsAt.Sub(now), cdnUnknown*time.Second) / time.Second)
	if seconds <= 0 {
		return policyNever
	}
	return cachePolicy{policyUnknown.browser, maxAge(seconds)}
}

func maxAge(seconds int) string { return "max-age=" + strconv.Itoa(seconds) }
