package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// createOnce creates the draft under an idempotency key. The reservation of the code and
// the link are written together, so that a repetition after a crash or a lost answer
// completes or returns the same link. A minted code is one of the shard of the
// reservation, so that both are one transaction.
func (a *API) createOnce(ctx context.Context, d *draft, key string) (l store.Link, found bool, err error) {
	want := store.Reservation{
		Owner: d.link.Owner, Key: reservationKey(d.who, key), Code: d.link.Code, CreatedAt: d.link.CreatedAt,
	}
	if want.Fingerprint, err = fingerprint(d.in, key); err != nil {
		return store.Link{}, false, err
	}
	if existing, ok, err := a.reusable(ctx, d); err != nil {
		return store.Link{}, false, err
	} else if ok {
		return a.reuseOnce(ctx, d, want, existing)
	}
	if err := a.protect(ctx, d); err != nil {
		return store.Link{}, false, err
	}
	l = d.link
	l.RequestID = want.Key
	if l.Code == "" {
		if l.Code, err = a.mintNear(want.Bucket()); err != nil {
			return store.Link{}, false, err
		}
		want.Code = l.Code
	}
	l, stands, err := a.opts.Store.CreateOnce(ctx, l, want)
	switch {
	case err != nil && !errors.Is(err, store.ErrExists), err == nil && l.Version > 0:
		return l, false, err
	case stands.Fingerprint != want.Fingerprint:
		return store.Link{}, false, errOtherBody
	case errors.Is(err, store.ErrExists):
		return a.createInstead(ctx, d, want, stands.Code, err)
	}
	return a.complete(ctx, d, want, stands)
}

// errOtherBody answers a key that a request with another body has used.
var errOtherBody = invalidKey("was used before with another body")

// reuseOnce reserves a link that the draft may reuse, so that every repetition finds the
// same one.
func (a *API) reuseOnce(ctx context.Context, d *draft, want store.Reservation, existing store.Link) (l store.Link, found bool, err error) {
	want.Code = existing.Code
	stands, err := a.opts.Store.Reserve(ctx, want)
	switch {
	case err != nil:
		return store.Link{}, false, err
	case stands.Fingerprint != want.Fingerprint:
		return store.Link{}, false, errOtherBody
	case stands.Code == want.Code && stands.CreatedAt.Equal(want.CreatedAt):
		return existing, true, nil
	}
	return a.complete(ctx, d, want, stands)
}

// complete finds or makes the link of an earlier request with the same key.
func (a *API) complete(ctx context.Context, d *draft, want, stands store.Reservation) (l store.Link, found bool, err error) {
	l, found, done, err := a.settled(ctx, d, want, stands)
	if err != nil || done {
		return l, found, err
	}
	l, err = a.createReserved(ctx, d, want.Key, stands.Code)
	if errors.Is(err, store.ErrExists) {
		return a.createInstead(ctx, d, want, stands.Code, err)
	}
	return l, false, err
}

// createInstead creates the draft under another code, because an alias has taken the one
// that is reserved. taken is the error of a draft whose code is an alias itself.
func (a *API) createInstead(ctx context.Context, d *draft, want store.Reservation, reserved string, taken error) (l store.Link, found bool, err error) {
	if d.link.Code != "" {
		return store.Link{}, false, taken
	}
	for range mintAttempts {
		a.metrics.collisions.Inc()
		want.Replaces = reserved
		if want.Code, err = a.mintNear(want.Bucket()); err != nil {
			return store.Link{}, false, err
		}
		stands, err := a.opts.Store.Reserve(ctx, want)
		if err != nil {
			return store.Link{}, false, err
		}
		reserved = stands.Code
		if l, err = a.createReserved(ctx, d, want.Key, reserved); !errors.Is(err, store.ErrExists) {
			return l, false, err
		}
	}
	return store.Link{}, false, fmt.Errorf("mint a free code: %w", store.ErrUnavailable)
}

// createReserved creates the draft under a code that is reserved for it.
func (a *API) createReserved(ctx context.Context, d *draft, key, code string) (store.Link, error) {
	if err := a.protect(ctx, d); err != nil {
		return store.Link{}, err
	}
	l := d.link
	l.Code, l.RequestID = code, key
	return a.opts.Store.Create(ctx, l)
}

// settled finds the link of the draft when there is one already: made or reused
// by an earlier request with the same key, or, while nothing is, to be reused.
func (a *API) settled(ctx context.Context, d *draft, want, stands store.Reservation) (l store.Link, found, done bool, err error) {
	l, err = a.opts.Store.Confirm(ctx, stands.Code)
	minted := d.link.Code == "" // so that no link has the code but by this key
	switch {
	case errors.Is(err, store.ErrNotFound): // reserved, and not written yet
		return a.claim(ctx, d, want, stands.Code)
	case err != nil:
		return store.Link{}, false, false, err
	case l.Owner != want.Owner:
		return store.Link{}, false, false, nil // the code is another's
	case !l.DeletedAt.IsZero() && minted:
		return store.Link{}, false, false, store.ErrGone
	case l.RequestID == want.Key:
		return l, false, true, nil
	}
	found = d.in.Reuse && minted || d.fits(&l)
	return l, found, found, nil
}

// claim looks for a link to reuse and moves the reservation of code to it, so
// that every repetition finds the same one.
func (a *API) claim(ctx context.Context, d *draft, want store.Reservation, code string) (l store.Link, found, done bool, err error) {
	l, found, err = a.reusable(ctx, d)
	if err != nil || !found {
		return store.Link{}, false, false, err
	}
	want.Replaces, want.Code = code, l.Code
	stands, err := a.opts.Store.Reserve(ctx, want)
	if err == nil && stands.Code != l.Code { // another request was faster
		l, err = a.opts.Store.Confirm(ctx, stands.Code)
	}
	return l, true, true, err
}

// invalidKey returns the 422 of an Idempotency-Key.
func invalidKey(reason string) *problem {
	p := invalid(&store.FieldError{Field: "", Reason: reason})
	p.Errors[0].Location = "header.Idempotency-Key"
	return p
}

// reservationKey returns the name under which a client's key is kept. Anonymous
// clients are told apart by their address, so that two who choose the same key
// do not meet.
func reservationKey(who *caller, key string) string {
	if who.key == nil {
		key += "\x00" + ratelimit.ClientKey(who.addr)
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// fingerprint tells one request body from another. It is keyed by the client's
// key, which is not kept, so that what is kept cannot be searched for a password.
func fingerprint(in *CreateInput, key string) (string, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("fingerprint of the request: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil)), nil
}
