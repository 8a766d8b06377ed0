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

// caller is who sent an API request.
type caller struct {
	key  *store.Key // nil for an anonymous caller
	addr netip.Addr
}

// owner returns the Owner of links that the caller creates.
func (c *caller) owner() string {
	if c.key == nil {
		return ""
	}
	return c.key.ID
}

// require returns the problem of a caller without the scope, or nil.
func (c *caller) require(s store.Scope) error {
	if c.key == nil {
		return newProblem(http.StatusUnauthorized, "Send an API key as Authorization: Bearer tk_…")
	}
	if !c.key.Can(s) {
		return newProblem(http.StatusForbidden, "The API key lacks the scope "+string(s)+".")
	}
	return nil
}

// sees reports whether the link may exist for the caller.
func (c *caller) sees(l *store.Link) bool {
	return c.key != nil && (c.key.Can(store.ScopeAdmin) || l.Owner == c.key.ID)
}

type callerKey struct{}

// callerOf returns who authenticate found.
func callerOf(ctx context.Context) *caller {
	return ctx.Value(callerKey{}).(*caller)
}

// authenticate finds out who is calling. On resources a key that is wrong is refused
// even where none is needed, since its owner would otherwise create orphans.
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

// withCaller returns ctx with who sent r, or the problem of a wrong key.
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

// keyOf finds the usable key of a client's Authorization header.
func (a *API) keyOf(ctx context.Context, client netip.Addr, header string) (store.Key, error) {
	refused := newProblem(http.StatusUnauthorized, "This API key is unknown, revoked or expired.")
	scheme, token, _ := strings.Cut(header, " ")
	hash, ok := store.HashToken(strings.TrimSpace(token))
	if !strings.EqualFold(scheme, "Bearer") || !ok {
		return store.Key{}, refused
	}
	known := a.opts.KeyKnown(hash)
	if !known {
		if limited := a.takeStranger(ctx, client, 0); limited != nil {
			return store.Key{}, limited
		}
	}
	key, err := a.opts.Keys.KeyByHash(ctx, hash)
	if errors.Is(err, store.ErrNotFound) && !known {
		if limited := a.takeStranger(ctx, client, 1); limited != nil {
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

// takeStranger counts n tokens of a client that nobody knows, each of which a shard was
// asked for, and returns the limit of them if it is reached. Those that are found count
// nothing, so that any number of callers may come by one address.
func (a *API) takeStranger(ctx context.Context, client netip.Addr, n int) error {
	limit := a.opts.Limits.Unknown
	if taken := a.takeClient(ctx, "key", client, limit, n); taken.RetryAfter > 0 {
		return tooMany("Too many unknown API keys were sent.", taken, rateHeaders("key", limit, taken))
	}
	return nil
}

// same compares digests in a time that tells nothing of where they differ. Keys are
// found by an index, which may compare otherwise.
func same(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
