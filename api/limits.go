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

// rateHeaders tells what came of counting against a limit that has a name. They are
// empty when nothing was counted.
func rateHeaders(name string, l ratelimit.Limit, counted ratelimit.Result) RateHeaders {
	if counted.ResetAfter == 0 {
		return RateHeaders{}
	}
	return RateHeaders{
		RateLimit:       `"` + name + `";r=` + strconv.Itoa(counted.Remaining) + ";t=" + retryAfter(counted.ResetAfter),
		RateLimitPolicy: `"` + name + `";q=` + strconv.Itoa(l.Count) + ";w=" + retryAfter(l.Window),
	}
}

// set writes the headers where huma does not.
func (h RateHeaders) set(to http.Header) {
	if h.RateLimit != "" {
		to.Set("RateLimit", h.RateLimit)
		to.Set("RateLimit-Policy", h.RateLimitPolicy)
	}
}

// and returns the headers of a call that two limits are about.
func (h RateHeaders) and(other RateHeaders) RateHeaders {
	switch {
	case h.RateLimit == "":
		return other
	case other.RateLimit == "":
		return h
	}
	return RateHeaders{h.RateLimit + ", " + other.RateLimit, h.RateLimitPolicy + ", " + other.RateLimitPolicy}
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
	return a.takeOfSite(ctx, purpose, client, l, ratelimit.SiteTimes, n)
}

// takeOfSite is takeClient for a site that has so many times as much.
func (a *API) takeOfSite(ctx context.Context, purpose string, client netip.Addr, l ratelimit.Limit, times, n int) ratelimit.Result {
	own := a.take(ctx, purpose+":"+ratelimit.ClientKey(client), l, n)
	site := ratelimit.SiteKey(client)
	if site == "" || own.Allowed == 0 && n > 0 {
		return own
	}
	all := a.take(ctx, purpose+":"+site, l.Times(times), own.Allowed)
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
	return taken, rateHeaders("create", limit, taken)
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
	limited.limits = h.and(p.limits)
	return &limited
}
