package api

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// RateHeaders report the rest of a rate limit to the client
// (draft-ietf-httpapi-ratelimit-headers). It is exported because huma only reads exported
// embedded structs.
type RateHeaders struct {
	RateLimit       string `header:"RateLimit" doc:"The rest of the limit: r is the remaining requests, t is the seconds until the full limit is available again."`
	RateLimitPolicy string `header:"RateLimit-Policy" doc:"The limit: q is the number of requests, w is the window in seconds."`
}

// rateHeaders returns the headers for a counted limit and its name. They are empty if
// nothing was counted.
func rateHeaders(name string, l ratelimit.Limit, counted ratelimit.Result) RateHeaders {
	if counted.ResetAfter == 0 {
		return RateHeaders{}
	}
	return RateHeaders{
		RateLimit:       `"` + name + `";r=` + strconv.Itoa(counted.Remaining) + ";t=" + retryAfter(counted.ResetAfter),
		RateLimitPolicy: `"` + name + `";q=` + strconv.Itoa(l.Count) + ";w=" + retryAfter(l.Window),
	}
}

// set writes the headers on routes that do not use huma.
func (h RateHeaders) set(to http.Header) {
	if h.RateLimit != "" {
		to.Set("RateLimit", h.RateLimit)
		to.Set("RateLimit-Policy", h.RateLimitPolicy)
	}
}

// and returns the headers of a request that two limits count.
func (h RateHeaders) and(other RateHeaders) RateHeaders {
	switch {
	case h.RateLimit == "":
		return other
	case other.RateLimit == "":
		return h
	}
	return RateHeaders{h.RateLimit + ", " + other.RateLimit, h.RateLimitPolicy + ", " + other.RateLimitPolicy}
}

// take takes up to n permits of a limit. If the limit is off, or if the limiter fails, it
// allows all n: a failed limiter must not stop the service. ResetAfter is then 0.
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

// takeClient takes up to n permits of a client and the same number of its network, the IPv6 /48
// around it. A network has ratelimit.NetworkTimes the limit of a client. Permits of the client are
// used up even if the network has none left.
func (a *API) takeClient(ctx context.Context, purpose string, client netip.Addr, l ratelimit.Limit, n int) ratelimit.Result {
	return a.takeOfNetwork(ctx, purpose, client, l, ratelimit.NetworkTimes, n)
}

// takeOfNetwork is takeClient for a network that has the given multiple of the limit.
func (a *API) takeOfNetwork(ctx context.Context, purpose string, client netip.Addr, l ratelimit.Limit, times, n int) ratelimit.Result {
	own := a.take(ctx, purpose+":"+ratelimit.ClientKey(client), l, n)
	network := ratelimit.NetworkKey(client)
	if network == "" || own.Allowed == 0 && n > 0 {
		return own
	}
	all := a.take(ctx, purpose+":"+network, l.Times(times), own.Allowed)
	return ratelimit.Result{
		Allowed:    all.Allowed,
		Remaining:  min(own.Remaining, all.Remaining),
		RetryAfter: max(own.RetryAfter, all.RetryAfter),
		ResetAfter: max(own.ResetAfter, all.ResetAfter),
	}
}

// takeCaller takes up to n permits of an API key, or of a client without a key and its network.
func (a *API) takeCaller(ctx context.Context, purpose string, who *caller, l ratelimit.Limit, n int) ratelimit.Result {
	if who.Key == nil {
		return a.takeClient(ctx, purpose, who.addr, l, n)
	}
	return a.take(ctx, purpose+":"+who.Key.Author(), l, n)
}

// createsUsedUp is the detail of a 429 for creates.
const createsUsedUp = "The limit of creates and edits is reached. Wait, or use an API key: each key has its own limit."

// takeCreates counts n creates against the caller's limit, and against the limit of all callers
// without a key. Allowed of the result is the
// number of creates that the caller may make.
func (a *API) takeCreates(ctx context.Context, who *caller, n int) (ratelimit.Result, RateHeaders) {
	limit := a.opts.Limits.CreateAnonymous
	if who.Key != nil {
		limit = a.keyLimit(who.Key)
	}
	taken := a.takeCaller(ctx, "create", who, limit, n)
	headers := rateHeaders("create", limit, taken)
	if who.Key != nil || taken.Allowed == 0 {
		return taken, headers
	}
	total := a.opts.Limits.CreateTotal
	if all := a.take(ctx, "create-total:", total, taken.Allowed); all.Allowed < taken.Allowed {
		return all, headers.and(rateHeaders("create-total", total, all))
	}
	return taken, headers
}

// keyLimit returns the key's own limit of creates, or the limit of all keys.
func (a *API) keyLimit(k *store.Key) ratelimit.Limit {
	if k.CreateLimit == "" {
		return a.opts.Limits.CreateKey
	}
	own, err := ratelimit.ParseLimit(k.CreateLimit)
	if err != nil { // an invalid value in the database
		return a.opts.Limits.CreateKey
	}
	return own
}

// withLimits returns a copy of p that also reports the limit h.
func withLimits(h RateHeaders, p *problem) *problem {
	limited := *p
	limited.limits = h.and(p.limits)
	return &limited
}
