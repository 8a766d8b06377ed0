package links

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/terse/terse/store"
)

// idempotencyKey identifies a create of one caller. A repeated create with the same key
// returns the same link. Empty: the create has no key.
//
// It consists of parts separated by NUL: the key that the caller chose and, for a draft without
// its own key, the position in the batch. Each NUL in the chosen key is doubled, so that
// different parts never result in the same idempotencyKey. The database contains digests of
// idempotencyKeys, so their format must not change.
type idempotencyKey string

// keyOf returns the idempotency key of a draft: its own, or the batch's with the position.
func (b *Batch) keyOf(i int) idempotencyKey {
	switch {
	case b.Drafts[i].Key != "":
		return keyPart(b.Drafts[i].Key)
	case b.Key != "":
		return keyPart(b.Key).with(strconv.Itoa(i))
	}
	return ""
}

// keyPart returns the key that the caller chose as the first part of an idempotencyKey.
func keyPart(chosen string) idempotencyKey {
	return idempotencyKey(strings.ReplaceAll(chosen, "\x00", "\x00\x00"))
}

// with returns k with one more part, which must contain no NUL.
func (k idempotencyKey) with(part string) idempotencyKey {
	return k + "\x00" + idempotencyKey(part)
}

// reserved returns the key under which a reservation is stored. Without an API key it includes
// the client: two clients that choose the same key must not share a link.
func (k idempotencyKey) reserved(who *Caller) string {
	if who.Key == nil {
		k = k.with(who.Client)
	}
	sum := sha256.Sum256([]byte(k))
	return hex.EncodeToString(sum[:])
}

// fingerprint returns a digest of the request, to detect a key that is used with another
// request. The digest is keyed with the idempotency key, which is not stored. A reader of the
// database can therefore not use the digest to guess a password in the request.
func (k idempotencyKey) fingerprint(request []byte) string {
	mac := hmac.New(sha256.New, []byte(k))
	mac.Write(request)
	return hex.EncodeToString(mac.Sum(nil))
}

// createOnce creates the draft under an idempotency key. It writes the link together with a
// reservation of its code under the key. A repeated request after a crash or a lost response
// then completes or returns the same link. A minted code is on the shard of the reservation if
// possible, so that one transaction writes both.
func (s *Service) createOnce(ctx context.Context, d *draft, key idempotencyKey) (l store.Link, found bool, err error) {
	want := store.Reservation{
		Owner: d.link.Owner, Key: key.reserved(d.who), Fingerprint: key.fingerprint(d.Request),
		Code: d.link.Code, CreatedAt: d.link.CreatedAt,
	}
	if existing, ok, err := s.reusable(ctx, d); err != nil {
		return store.Link{}, false, err
	} else if ok {
		return s.reuseOnce(ctx, d, want, existing)
	}
	if err := s.protect(ctx, d); err != nil {
		return store.Link{}, false, err
	}
	l = d.link
	l.RequestID = want.Key
	if l.Code == "" {
		if l.Code, err = s.opts.Minter.NextCodeNear(want.Bucket()); err != nil {
			return store.Link{}, false, cannotMint(err)
		}
		want.Code = l.Code
	}
	l, stands, err := s.opts.Store.CreateOnce(ctx, l, want)
	switch {
	case err != nil && !errors.Is(err, store.ErrExists), err == nil && l.Version > 0:
		return l, false, err
	case stands.Fingerprint != want.Fingerprint:
		return store.Link{}, false, ErrOtherRequest
	case errors.Is(err, store.ErrExists):
		return s.createInstead(ctx, d, want, stands.Code, err)
	}
	return s.complete(ctx, d, want, stands)
}

// reuseOnce reserves the code of an existing link that the draft may reuse. Every repeated
// request then returns the same link.
func (s *Service) reuseOnce(ctx context.Context, d *draft, want store.Reservation, existing store.Link) (l store.Link, found bool, err error) {
	want.Code = existing.Code
	stands, err := s.opts.Store.Reserve(ctx, want)
	switch {
	case err != nil:
		return store.Link{}, false, err
	case stands.Fingerprint != want.Fingerprint:
		return store.Link{}, false, ErrOtherRequest
	case stands.Code == want.Code && stands.CreatedAt.Equal(want.CreatedAt):
		return existing, true, nil
	}
	return s.complete(ctx, d, want, stands)
}

// complete returns the link of an earlier request with the same key, and creates it if it
// is missing.
func (s *Service) complete(ctx context.Context, d *draft, want, stands store.Reservation) (l store.Link, found bool, err error) {
	l, found, done, err := s.settled(ctx, d, want, stands)
	if err != nil || done {
		return l, found, err
	}
	l, err = s.createReserved(ctx, d, want.Key, stands.Code)
	if errors.Is(err, store.ErrExists) {
		return s.createInstead(ctx, d, want, stands.Code, err)
	}
	return l, false, err
}

// createInstead creates the draft under another code, because another link has the
// reserved code as its alias. If the draft itself has an alias, createInstead returns the
// error taken.
func (s *Service) createInstead(ctx context.Context, d *draft, want store.Reservation, reserved string, taken error) (l store.Link, found bool, err error) {
	if d.link.Code != "" {
		return store.Link{}, false, taken
	}
	for range mintAttempts {
		s.collisions.Inc()
		want.Replaces = reserved
		if want.Code, err = s.opts.Minter.NextCodeNear(want.Bucket()); err != nil {
			return store.Link{}, false, cannotMint(err)
		}
		stands, err := s.opts.Store.Reserve(ctx, want)
		if err != nil {
			return store.Link{}, false, err
		}
		reserved = stands.Code
		if l, err = s.createReserved(ctx, d, want.Key, reserved); !errors.Is(err, store.ErrExists) {
			return l, false, err
		}
	}
	return store.Link{}, false, errNoFreeCode
}

// createReserved creates the draft under its reserved code.
func (s *Service) createReserved(ctx context.Context, d *draft, key, code string) (store.Link, error) {
	if err := s.protect(ctx, d); err != nil {
		return store.Link{}, err
	}
	l := d.link
	l.Code, l.RequestID = code, key
	return s.opts.Store.Create(ctx, l)
}

// settled returns the link that an earlier request with the same key created or reused. If
// the reserved code has no link yet, it looks for a link to reuse. done is false if the
// link must still be created.
func (s *Service) settled(ctx context.Context, d *draft, want, stands store.Reservation) (l store.Link, found, done bool, err error) {
	l, err = s.opts.Store.Confirm(ctx, stands.Code)
	minted := d.link.Code == "" // only a request with this key can use the reserved code
	switch {
	case errors.Is(err, store.ErrNotFound): // reserved, but the link was not created
		return s.claim(ctx, d, want, stands.Code)
	case err != nil:
		return store.Link{}, false, false, err
	case l.Owner != want.Owner:
		return store.Link{}, false, false, nil // another owner has the code
	case !l.DeletedAt.IsZero() && minted:
		return store.Link{}, false, false, store.ErrGone
	case l.RequestID == want.Key:
		return l, false, true, nil
	}
	found = d.Reuse && minted || d.fits(&l)
	return l, found, found, nil
}

// claim looks for a link to reuse, and changes the reservation from code to this link.
// Every repeated request then returns the same link.
func (s *Service) claim(ctx context.Context, d *draft, want store.Reservation, code string) (l store.Link, found, done bool, err error) {
	l, found, err = s.reusable(ctx, d)
	if err != nil || !found {
		return store.Link{}, false, false, err
	}
	want.Replaces, want.Code = code, l.Code
	stands, err := s.opts.Store.Reserve(ctx, want)
	if err == nil && stands.Code != l.Code { // another request changed it first
		l, err = s.opts.Store.Confirm(ctx, stands.Code)
	}
	return l, true, true, err
}
