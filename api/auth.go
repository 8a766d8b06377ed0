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

	"github.com/terse/terse/store"
)

// caller is the sender of an API request.
type caller struct {
	key  *store.Key // nil for an anonymous caller
	addr netip.Addr
}

// owner returns the Owner of links that the caller creates; "" for an anonymous caller.
func (c *caller) owner() string {
	if c.key == nil {
		return ""
	}
	return c.key.ID
}

// require returns a 401 or 403 if the caller lacks the scope, else nil.
func (c *caller) require(s store.Scope) error {
	if c.key == nil {
		return newProblem(http.StatusUnauthorized, "Send an API key as Authorization: Bearer tk_…")
	}
	if !c.key.Can(s) {
		return newProblem(http.StatusForbidden, "The API key lacks the scope "+string(s)+".")
	}
	return nil
}

// sees reports whether the caller may know that the link exists.
func (c *caller) sees(l *store.Link) bool {
	return c.key != nil && (c.key.Can(store.ScopeAdmin) || l.Owner == c.key.ID)
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
		ctx, err := a.withCaller(r.Context(), r)
		if err != nil {
			return err
		}
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// withCaller returns ctx with the caller of r, or the problem for an invalid key.
func (a *API) withCaller(ctx context.Context, r *http.Request) (context.Context, error) {
	who := &caller{addr: a.clientAddr(r)}
	if header := r.Header.Get("Authorization"); header != "" {
		key, err := a.keyOf(ctx, who.addr, header)
		if err != nil {
			return nil, err
		}
		who.key = &key
	}
	return store.WithAuthor(context.WithValue(ctx, callerKey{}, who), store.Author{ID: who.owner()}), nil
}

// keyOf returns the key of an Authorization header, or a 401 if the key is unusable.
func (a *API) keyOf(ctx context.Context, client netip.Addr, header string) (store.Key, error) {
	refused := newProblem(http.StatusUnauthorized, "This API key is unknown, revoked or expired.")
	scheme, token, _ := strings.Cut(header, " ")
	hash, ok := store.HashToken(strings.TrimSpace(token))
	if !strings.EqualFold(scheme, "Bearer") || !ok {
		return store.Key{}, refused
	}
	known := a.opts.KeyKnown(hash)
	if !known {
		if limited := a.countUnknownKey(ctx, client, 0); limited != nil {
			return store.Key{}, limited
		}
	}
	key, err := a.opts.Keys.KeyByHash(ctx, hash)
	if errors.Is(err, store.ErrNotFound) && !known {
		if limited := a.countUnknownKey(ctx, client, 1); limited != nil {
			return store.Key{}, limited
		}
	}
	if err == nil && !same(key.Hash, hash) || errors.Is(err, store.ErrNotFound) {
		return store.Key{}, refused
	}
	if err != nil {
		return store.Key{}, err
	}
	usable, err := a.usable(&key)
	if err == nil && !usable {
		err = refused
	}
	return key, err
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
