package api

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// RateHeaders tell a client what is left of its limit
// (draft-ietf-httpapi-ratelimit-headers). It is exported because huma looks into
// exported embedded structs only.
type RateHeaders struct {
	RateLimit       string `header:"RateLimit" doc:"What is left of the limit: r is requests, t is seconds until it is whole again."`
	RateLimitPolicy string `header:"RateLimit-Policy" doc:"The limit: q is requests, w is the window in seconds."`
}

// set writes the headers where huma does not.
func (h RateHeaders) set(to http.Header) {
	if h.RateLimit != "" {
		to.Set("RateLimit", h.RateLimit)
		to.Set("RateLimit-Policy", h.RateLimitPolicy)
	}
}

// take takes up to n permits. A limit that is off, and one that cannot be counted
// now, allow everything: limits protect the service, they are not the service.
// ResetAfter is then 0.
func (a *API) take(ctx context.Context, key string, l ratelimit.Limit, n int) ratelimit.Result {
	everything := ratelimit.Result{Allowed: n, Remaining: 1}
	if l.Off() {
		return everything
	}
	taken, err := a.opts.Limiter.Take(ctx, key, l, n)
	if err != nil {
		a.metrics.uncounted.Inc()
		return everything
	}
	return taken
}

// takeClient takes up to n permits of a client, and as many of the site around it,
// which has more. Those that the client has and its site has not are taken too.
func (a *API) takeClient(ctx context.Context, purpose string, client netip.Addr, l ratelimit.Limit, n int) ratelimit.Result {
	own := a.take(ctx, purpose+":"+ratelimit.ClientKey(client), l, n)
	site := ratelimit.SiteKey(client)
	if site == "" || own.Allowed == 0 && n > 0 {
		return own
	}
	all := a.take(ctx, purpose+":"+site, l.Times(ratelimit.SiteTimes), own.Allowed)
	return ratelimit.Result{
		Allowed:    all.Allowed,
		Remaining:  min(own.Remaining, all.Remaining),
		RetryAfter: max(own.RetryAfter, all.RetryAfter),
		ResetAfter: max(own.ResetAfter, all.ResetAfter),
	}
}

// createsUsedUp tells a client whose limit of creates is reached what helps.
const createsUsedUp = "The limit of creates is reached. Wait, or use an API key: each has a limit of its own."

// takeCreates charges the caller for n creates and returns how many of them it
// may make.
func (a *API) takeCreates(ctx context.Context, who *caller, n int) (ratelimit.Result, RateHeaders) {
	var taken ratelimit.Result
	limit := a.opts.Limits.CreateAnonymous
	if who.key == nil {
		taken = a.takeClient(ctx, "create", who.addr, limit, n)
	} else {
		limit = a.keyLimit(who.key)
		taken = a.take(ctx, "create:"+who.key.ID, limit, n)
	}
	if taken.ResetAfter == 0 { // not counted
		return taken, RateHeaders{}
	}
	return taken, RateHeaders{
		RateLimit:       `"create";r=` + strconv.Itoa(taken.Remaining) + ";t=" + retryAfter(taken.ResetAfter),
		RateLimitPolicy: `"create";q=` + strconv.Itoa(limit.Count) + ";w=" + retryAfter(limit.Window),
	}
}

// keyLimit returns how often a key may create: as it says itself, or as all keys.
func (a *API) keyLimit(k *store.Key) ratelimit.Limit {
	if k.CreateLimit == "" {
		return a.opts.Limits.CreateKey
	}
	own, err := ratelimit.ParseLimit(k.CreateLimit)
	if err != nil { // written by somebody who knew better
		return a.opts.Limits.CreateKey
	}
	return own
}

// within makes the error answer of a limited request carry its limit too.
func within(h RateHeaders, p *problem) *problem {
	limited := *p
	limited.limits = h
	return &limited
}
