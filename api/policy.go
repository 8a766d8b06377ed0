package api

import (
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// cachePolicy says which caches may store an answer, and for how long.
type cachePolicy struct {
	browser string // Cache-Control
	cdn     string // CDN-Cache-Control (RFC 9213), sent if Options.CDN is set; empty sends none
}

// kept reports whether a CDN may store the answer. Such an answer must have no request id:
// the CDN would show the id with the answers to later requests.
func (p cachePolicy) kept() bool { return strings.HasPrefix(p.cdn, "max-age=") }

// Cache lifetimes of answers in seconds.
const (
	browserPermanent = 90 // 301 and 308
	cdnLive          = 60
	cdnGone          = 60
	cdnUnknown       = 2
)

// Policies that do not depend on the link.
var (
	policyTemporary = cachePolicy{"private, max-age=0", "max-age=60, stale-while-revalidate=30, stale-if-error=86400"}
	policyPermanent = cachePolicy{"private, max-age=90", "max-age=60, stale-while-revalidate=30, stale-if-error=86400"}
	policyNever     = cachePolicy{"no-store", "no-store"}
	policyUnknown   = cachePolicy{"no-store", "max-age=2"}
	policyGone      = cachePolicy{"no-store", "max-age=60"}
	policyError     = cachePolicy{"no-store", ""}
)

// Facts of visits that are not in the cache key of a CDN. The query is.
const (
	uncacheable = rules.Browser | rules.Referrer | rules.Address | rules.Split
	variable    = rules.Device | rules.Country | rules.Language // browsers may keep the answer
)

// livePolicy returns the policy of a redirect. set are the rules of l, nil without rules. A link with a
// click limit, a password or a confirmation is never cached, and neither is a link with rules on facts
// of a visitor that may change. A link that expires, or has rules on the time, is cached at most until its
// target may change, and never served stale. bounded says whether a CDN knows the facts of the visitor that
// the rules ask about, see API.bounded.
func livePolicy(l *store.Link, set *rules.Set, status int, now time.Time, bounded bool) cachePolicy {
	permanent := status == 301 || status == 308
	varies := set.Varies()
	if l.MaxClicks > 0 || l.PasswordHash != "" || l.Confirm || varies.Has(uncacheable) {
		return policyNever
	}
	p := policyTemporary
	if permanent {
		p = policyPermanent
	}
	if !l.ExpiresAt.IsZero() || varies.Has(rules.Time) {
		p = endingPolicy(untilChange(l, set, now), permanent)
	}
	if varies.Has(variable) && !bounded {
		p.cdn = policyNever.cdn
	}
	return p
}

// untilChange returns the time until l expires or the time changes which of its rules apply, or a time
// that is longer than any cache lifetime.
func untilChange(l *store.Link, set *rules.Set, now time.Time) time.Duration {
	left := time.Hour
	if border := set.Border(now, now.Add(browserPermanent*time.Second)); !border.IsZero() {
		left = border.Sub(now)
	}
	if !l.ExpiresAt.IsZero() {
		left = min(left, l.ExpiresAt.Sub(now))
	}
	return left
}

// endingPolicy returns the policy of a live link that expires after left.
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

// notLivePolicy returns the policy for a link that is not live. The answer for a link that
// has not started is cached at most until it starts.
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
