package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// caller is the sender of a request.
type caller struct {
	links.Caller
	addr netip.Addr
	api  *API
}

// newCaller returns the sender of a request. key is nil for an anonymous caller.
func (a *API) newCaller(addr netip.Addr, key *store.Key) *caller {
	who := &caller{Caller: links.Caller{Key: key}, addr: addr, api: a}
	who.Quota = who
	if key == nil {
		who.Client = ratelimit.ClientKey(addr)
	}
	return who
}

type callerKey struct{}

// callerOf returns the caller that authenticate put into ctx.
func callerOf(ctx context.Context) *caller {
	return ctx.Value(callerKey{}).(*caller)
}

// authenticate puts the caller of a resource into the request's context. It rejects an
// invalid key even where none is required: otherwise the key's owner would create
// anonymous links without noticing.
func (a *API) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !strings.HasPrefix(r.URL.Path, apiPath) {
			return next(c)
		}
		class, _ := classOf(r.Method, c.Path())
		ctx, err := a.withCaller(r.Context(), r, class)
		if err != nil {
			leaveBody(c)
			return err
		}
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// withCaller returns ctx with the caller of r, or the problem for an invalid key.
func (a *API) withCaller(ctx context.Context, r *http.Request, class overload.Class) (context.Context, error) {
	addr := a.clientAddr(r)
	header := r.Header.Get("Authorization")
	if header == "" {
		return context.WithValue(ctx, callerKey{}, a.newCaller(addr, nil)), nil
	}
	key, err := a.keyOf(ctx, addr, class, header)
	if err != nil {
		return nil, err
	}
	return context.WithValue(ctx, callerKey{}, a.newCaller(addr, &key)), nil
}

// keyOf returns the key of an Authorization header, or a 401 if the key is unusable.
func (a *API) keyOf(ctx context.Context, client netip.Addr, class overload.Class, header string) (store.Key, error) {
	refused := newProblem(http.StatusUnauthorized, "This API key is unknown, revoked or expired.")
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return store.Key{}, newProblem(http.StatusUnauthorized, "The header Authorization must begin with Bearer: send Authorization: Bearer tk_…")
	}
	hash, ok := store.HashToken(strings.TrimSpace(token))
	if !ok {
		return store.Key{}, newProblem(http.StatusUnauthorized, "The header Authorization holds no complete API key: send Authorization: Bearer tk_…")
	}
	key, err := a.keyOfHash(ctx, client, class, hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && !key.IsAPIKey() {
		err = refused
	}
	return key, err
}

// keyOfHash returns the key with a digest of its token. It returns store.ErrNotFound if the key is
// unknown, revoked or expired, and a 429 if the client sent too many unknown keys.
func (a *API) keyOfHash(ctx context.Context, client netip.Addr, class overload.Class, hash [sha256.Size]byte) (store.Key, error) {
	known := a.opts.Keys.Knows(hash)
	if !known {
		if limited := a.countUnknownKey(ctx, client, 0); limited != nil {
			return store.Key{}, limited
		}
	}
	key, err := a.keyByHash(ctx, client, class, hash)
	if errors.Is(err, store.ErrNotFound) && !known {
		if limited := a.countUnknownKey(ctx, client, 1); limited != nil {
			return store.Key{}, limited
		}
	}
	if err == nil && !same(key.Hash, hash) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Key{}, err
	}
	usable, err := a.usable(&key)
	if err == nil && !usable {
		err = store.ErrNotFound
	}
	return key, err
}

// keyByHash returns a key. It needs a place of the class of the request unless the key is in
// memory.
func (a *API) keyByHash(ctx context.Context, client netip.Addr, class overload.Class, hash [sha256.Size]byte) (store.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	if a.opts.Keys.Knows(hash) {
		return a.opts.Keys.KeyByHash(ctx, hash)
	}
	place, err := a.opts.Guard.Admit(ctx, class, overload.Caller{ID: ratelimit.ClientKey(client)})
	if err != nil {
		return store.Key{}, err
	}
	defer place.Done()
	return a.opts.Keys.KeyByHash(ctx, hash)
}

// countUnknownKey counts n unknown API keys that a client sent, and returns a 429 when the
// limit is reached. Each such key costs a query of a shard. Keys that exist are not
// counted, so any number of callers may share one address.
func (a *API) countUnknownKey(ctx context.Context, client netip.Addr, n int) error {
	limit := a.opts.Limits.Unknown
	if taken := a.takeClient(ctx, "key", client, limit, n); taken.RetryAfter > 0 {
		return tooMany("You sent too many unknown API keys.", taken, rateHeaders("key", limit, taken))
	}
	return nil
}

// same compares digests in constant time. The database finds keys by an index, which may
// compare in variable time.
func same(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// carrierNAT is the shared address space of carrier-grade NAT (RFC 6598). No visitor has
// such an address on the Internet.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// clientAddr returns the address of the client. Rate limits identify anonymous clients by this
// address. All clients behind a proxy that is not trusted have the address of the proxy, so
// clientAddr counts their requests and logs the first one.
func (a *API) clientAddr(r *http.Request) netip.Addr {
	client := a.opts.Clients.ClientAddr(r)
	if r.Header["X-Forwarded-For"] != nil && inside(client) && isPeer(r, client) {
		a.metrics.unlistedProxies.Inc()
		a.unlisted.Do(func() {
			a.opts.Logger.WarnContext(r.Context(), "a private address sends X-Forwarded-For but is not a trusted proxy: its clients share one rate limit", "peer", client)
		})
	}
	return client
}

// inside reports whether an address belongs to a private network.
func inside(addr netip.Addr) bool {
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || carrierNAT.Contains(addr)
}

// isPeer reports whether the TCP connection comes from addr.
func isPeer(r *http.Request, addr netip.Addr) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().WithZone("") == addr
}
