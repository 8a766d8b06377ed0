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

// createIdempotent creates the draft under an idempotency key. It writes the link together with a
// reservation of its code under the key. A repeated request after a crash or a lost response
// then completes or returns the same link. A minted code is on the shard of the reservation if
// possible, so that one transaction writes both.
func (s *Service) createIdempotent(ctx context.Context, d *draft, key idempotencyKey) (l store.Link, found bool, err error) {
	want := store.Reservation{
		Owner: d.link.Owner, Key: key.reserved(d.who), Fingerprint: key.fingerprint(d.Request),
		Code: d.link.Code, CreatedAt: d.link.CreatedAt,
	}
	if existing, ok, err := s.reusable(ctx, d); err != nil {
		return store.Link{}, false, err
	} else if ok {
		return s.reuseIdempotent(ctx, d, want, existing)
	}
	if want.Code == "" {
		if want.Code, err = s.opts.Minter.NextKeyNear(d.prefix, want.Bucket()); err != nil {
			return store.Link{}, false, cannotMint(err)
		}
	}
	if d.hasPassword() {
		return s.reserveAndCreate(ctx, d, want)
	}
	l = d.link
	l.Code, l.RequestID = want.Code, want.Key
	l, valid, err := s.opts.Store.CreateOnce(ctx, l, want)
	switch {
	case err != nil && !errors.Is(err, store.ErrExists), err == nil && l.Version > 0:
		return l, false, err
	case valid.Fingerprint != want.Fingerprint:
		return store.Link{}, false, ErrOtherRequest
	case errors.Is(err, store.ErrExists):
		return s.createInstead(ctx, d, want, valid.Code, err)
	}
	return s.completeEarlier(ctx, d, want, valid.Code)
}

// reserveAndCreate creates a draft with a password. It hashes the password after it has
// reserved the code: hashing is expensive and counts against the caller's quota, and a repeated
// request needs no hash.
func (s *Service) reserveAndCreate(ctx context.Context, d *draft, want store.Reservation) (l store.Link, found bool, err error) {
	valid, first, err := s.reserve(ctx, want)
	switch {
	case err != nil:
		return store.Link{}, false, err
	case first:
		return s.createReserved(ctx, d, want, want.Code)
	}
	return s.completeEarlier(ctx, d, want, valid.Code)
}

// reuseIdempotent reserves the code of an existing link that the draft may reuse. Every repeated
// request then returns the same link.
func (s *Service) reuseIdempotent(ctx context.Context, d *draft, want store.Reservation, existing store.Link) (l store.Link, found bool, err error) {
	want.Code = existing.Code
	valid, first, err := s.reserve(ctx, want)
	switch {
	case err != nil:
		return store.Link{}, false, err
	case first:
		return existing, true, nil
	}
	return s.completeEarlier(ctx, d, want, valid.Code)
}

// reserve records want and returns the valid reservation. first reports whether that is want:
// no earlier request had the key. For an earlier request with other content it returns
// ErrOtherRequest.
func (s *Service) reserve(ctx context.Context, want store.Reservation) (valid store.Reservation, first bool, err error) {
	valid, err = s.opts.Store.Reserve(ctx, want)
	if err == nil && valid.Fingerprint != want.Fingerprint {
		err = ErrOtherRequest
	}
	return valid, valid.Code == want.Code && valid.CreatedAt.Equal(want.CreatedAt), err
}

// completeEarlier returns the link of an earlier request with the same key, and creates it if it
// is missing.
func (s *Service) completeEarlier(ctx context.Context, d *draft, want store.Reservation, reserved string) (l store.Link, found bool, err error) {
	l, found, err = s.earlier(ctx, d, want, reserved)
	if !errors.Is(err, errMissing) {
		return l, found, err
	}
	now, err := s.reserveReusable(ctx, d, want, reserved)
	if err != nil {
		return store.Link{}, false, err
	}
	if now != reserved {
		if l, found, err = s.earlier(ctx, d, want, now); !errors.Is(err, errMissing) {
			return l, found, err
		}
	}
	return s.createReserved(ctx, d, want, now)
}

// errMissing reports that the link of a reservation must still be created.
var errMissing = errors.New("the reserved code has no link of this request")

// earlier returns the link that an earlier request with the same key created or reused. found
// reports that the earlier request did not create it. It returns errMissing if there is no such
// link.
func (s *Service) earlier(ctx context.Context, d *draft, want store.Reservation, code string) (l store.Link, found bool, err error) {
	l, err = s.opts.Store.Confirm(ctx, code)
	minted := d.link.Code == "" // only a request with this key can use the reserved code
	switch {
	case errors.Is(err, store.ErrNotFound): // reserved, but the link was not created
		return store.Link{}, false, errMissing
	case err != nil:
		return store.Link{}, false, err
	case l.Owner != want.Owner: // another owner has the code
		return store.Link{}, false, errMissing
	case !l.DeletedAt.IsZero() && minted:
		return store.Link{}, false, store.ErrGone
	case l.RequestID == want.Key:
		return l, false, nil
	case d.Reuse && minted || d.fits(&l):
		return l, true, nil
	}
	return store.Link{}, false, errMissing
}

// reserveReusable looks for a link to reuse, and changes the reservation from a code without a
// link to that link. Every repeated request then returns the same link. It returns the code
// that is reserved now: the same one without a link to reuse, and another one also when another
// request has changed the reservation first.
func (s *Service) reserveReusable(ctx context.Context, d *draft, want store.Reservation, reserved string) (string, error) {
	l, ok, err := s.reusable(ctx, d)
	if err != nil || !ok {
		return reserved, err
	}
	want.Replaces, want.Code = reserved, l.Code
	valid, err := s.opts.Store.Reserve(ctx, want)
	return valid.Code, err
}

// createReserved creates the draft under its reserved code, or under another code if another
// link has taken that one.
func (s *Service) createReserved(ctx context.Context, d *draft, want store.Reservation, reserved string) (l store.Link, found bool, err error) {
	l, err = s.createUnder(ctx, d, want.Key, reserved)
	if errors.Is(err, store.ErrExists) {
		return s.createInstead(ctx, d, want, reserved, err)
	}
	return l, false, err
}

// createInstead creates the draft under another code, because another link has the
// reserved code as its alias. If the draft itself has an alias, createInstead creates a deleted
// alias again where that is allowed, and otherwise returns the error taken.
func (s *Service) createInstead(ctx context.Context, d *draft, want store.Reservation, reserved string, taken error) (l store.Link, found bool, err error) {
	if l = d.link; l.Code != "" {
		l, err = s.recreate(ctx, d.who, l, &want, taken)
		return l, false, err
	}
	for range createAttempts {
		s.collisions.Inc()
		want.Replaces = reserved
		if want.Code, err = s.opts.Minter.NextKeyNear(d.prefix, want.Bucket()); err != nil {
			return store.Link{}, false, cannotMint(err)
		}
		valid, err := s.opts.Store.Reserve(ctx, want)
		if err != nil {
			return store.Link{}, false, err
		}
		reserved = valid.Code
		if l, err = s.createUnder(ctx, d, want.Key, reserved); !errors.Is(err, store.ErrExists) {
			return l, false, err
		}
	}
	return store.Link{}, false, errNoFreeCode
}

// createUnder creates the draft under a code, with the hash of its password.
func (s *Service) createUnder(ctx context.Context, d *draft, key, code string) (store.Link, error) {
	if err := s.hashDraftPassword(ctx, d); err != nil {
		return store.Link{}, err
	}
	l := d.link
	l.Code, l.RequestID = code, key
	return s.opts.Store.Create(ctx, l)
}
