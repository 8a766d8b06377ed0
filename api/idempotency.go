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

// createOnce creates l under an idempotency key. The code that it intends is
// reserved before the link is written, so that a repetition after a crash or a
// lost answer completes or returns the same link.
func (a *API) createOnce(ctx context.Context, who *caller, l store.Link, in *createInput, key string) (store.Link, error) {
	want := store.Reservation{
		Owner: l.Owner, Key: reservationKey(who, key), Code: l.Code, CreatedAt: l.CreatedAt,
	}
	var err error
	if want.Fingerprint, err = fingerprint(in, key); err != nil {
		return store.Link{}, err
	}
	l.RequestID = want.Key
	for range mintAttempts {
		if l.Code == "" {
			if want.Code, err = a.mint(); err != nil {
				return store.Link{}, err
			}
		}
		stands, err := a.opts.Store.Reserve(ctx, want)
		if err != nil {
			return store.Link{}, err
		}
		if stands.Fingerprint != want.Fingerprint {
			return store.Link{}, invalidKey("was used before with another body")
		}
		minted := l
		minted.Code = stands.Code
		created, err := a.opts.Store.Create(ctx, minted)
		if !errors.Is(err, store.ErrExists) {
			return created, err
		}
		if !stands.CreatedAt.Equal(want.CreatedAt) { // an earlier request made the reservation
			if err := a.goneBefore(ctx, &minted); err != nil {
				return store.Link{}, err
			}
		}
		if l.Code != "" {
			return store.Link{}, err
		}
		a.metrics.collisions.Inc()
		want.Replaces = stands.Code
	}
	return store.Link{}, fmt.Errorf("mint a free code: %w", store.ErrUnavailable)
}

// goneBefore returns ErrGone when the code is taken by the tombstone of the
// link that an earlier request with the same key made.
func (a *API) goneBefore(ctx context.Context, l *store.Link) error {
	have, err := a.opts.Store.Get(ctx, l.Code)
	if err != nil {
		return err
	}
	if !have.DeletedAt.IsZero() && have.Owner == l.Owner {
		return store.ErrGone
	}
	return nil
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
func fingerprint(in *createInput, key string) (string, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("fingerprint of the request: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil)), nil
}
