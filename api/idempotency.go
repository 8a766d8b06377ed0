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

// createOnce creates the draft under an idempotency key. It writes the link together with a
// reservation of its code under the key. A repetition after a crash or a lost answer then
// completes or returns the same link. A minted code belongs to the shard of the reservation
// if possible, so that one transaction writes both.
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

// errOtherBody is the 422 for a key that was used before with another body.
var errOtherBody = invalidKey("was used before with another body")

// reuseOnce reserves the code of an existing link that the draft may reuse. Every
// repetition then returns the same link.
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

// complete returns the link of an earlier request with the same key, and creates it if it
// is missing.
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

// createInstead creates the draft under another code, because another link has the
// reserved code as its alias. If the draft itself has an alias, createInstead returns the
// error taken.
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

// createReserved creates the draft under its reserved code.
func (a *API) createReserved(ctx context.Context, d *draft, key, code string) (store.Link, error) {
	if err := a.protect(ctx, d); err != nil {
		return store.Link{}, err
	}
	l := d.link
	l.Code, l.RequestID = code, key
	return a.opts.Store.Create(ctx, l)
}

// settled returns the link that an earlier request with the same key created or reused. If
// the reserved code has no link yet, it looks for a link to reuse. done is false if the
// link must still be created.
func (a *API) settled(ctx context.Context, d *draft, want, stands store.Reservation) (l store.Link, found, done bool, err error) {
	l, err = a.opts.Store.Confirm(ctx, stands.Code)
	minted := d.link.Code == "" // only a request with this key can use the reserved code
	switch {
	case errors.Is(err, store.ErrNotFound): // reserved, but the link was not created
		return a.claim(ctx, d, want, stands.Code)
	case err != nil:
		return store.Link{}, false, false, err
	case l.Owner != want.Owner:
		return store.Link{}, false, false, nil // another owner has the code
	case !l.DeletedAt.IsZero() && minted:
		return store.Link{}, false, false, store.ErrGone
	case l.RequestID == want.Key:
		return l, false, true, nil
	}
	found = d.in.Reuse && minted || d.fits(&l)
	return l, found, found, nil
}

// claim looks for a link to reuse, and changes the reservation from code to this link.
// Every repetition then returns the same link.
func (a *API) claim(ctx context.Context, d *draft, want store.Reservation, code string) (l store.Link, found, done bool, err error) {
	l, found, err = a.reusable(ctx, d)
	if err != nil || !found {
		return store.Link{}, false, false, err
	}
	want.Replaces, want.Code = code, l.Code
	stands, err := a.opts.Store.Reserve(ctx, want)
	if err == nil && stands.Code != l.Code { // another request changed it first
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

// reservationKey returns the key under which a reservation is stored. For anonymous clients
// it includes the client's address: two clients that choose the same key must not share a
// link.
func reservationKey(who *caller, key string) string {
	if who.key == nil {
		key += "\x00" + ratelimit.ClientKey(who.addr)
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// fingerprint returns a digest of the request body, to detect a key that is used with
// another body. The digest is keyed with the client's key, which is not stored. A reader of
// the database can therefore not use the digest to guess a password in the body.
func fingerprint(in *CreateInput, key string) (string, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("fingerprint of the request: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil)), nil
}
