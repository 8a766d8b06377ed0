package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/terse/terse/store"
)

// mintAttempts is how many codes a create mints at most. A minted code can only
// be taken by an alias of the same form, so that a second is rarely needed.
const mintAttempts = 4

type createLinkInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A key of your choice: repeating a create with the same key and body gives the same link, for 24 hours at least."`
	Body           CreateInput
}

type createLinkOutput struct {
	Status   int
	Location string `header:"Location" doc:"The short URL."`
	ETag     string `header:"ETag"`
	RateHeaders
	Body linkBody
}

// createLink creates the link of a caller who was charged for it at the door.
func (a *API) createLink(ctx context.Context, in *createLinkInput) (*createLinkOutput, error) {
	return a.createCharged(ctx, in, chargeOf(ctx).headers)
}

// createCharged creates the link of a caller who was charged for it. headers tell of the
// limit.
func (a *API) createCharged(ctx context.Context, in *createLinkInput, headers RateHeaders) (*createLinkOutput, error) {
	l, found, err := a.create(ctx, callerOf(ctx), &in.Body, in.IdempotencyKey)
	if err != nil {
		return nil, within(headers, a.problem(ctx, err))
	}
	out := &createLinkOutput{
		Status:      http.StatusCreated,
		Location:    a.shortURL(l.Code),
		ETag:        etag(l.Version),
		RateHeaders: headers,
		Body:        a.linkBody(&l),
	}
	if found {
		out.Status = http.StatusOK
	}
	return out, nil
}

// mayCreate returns the problem of a caller who may not create, or nil.
func (a *API) mayCreate(who *caller) error {
	if who.key == nil && a.opts.AnonymousCreate {
		return nil
	}
	return who.require(store.ScopeLinksWrite)
}

// draft is a link that is about to be created.
type draft struct {
	who  *caller
	in   *CreateInput
	link store.Link // without a code, unless an alias was given
}

// create makes one link, or finds the one that in asks to reuse. It is the way
// of the API, the batch and the form alike. idempotencyKey may be empty.
func (a *API) create(ctx context.Context, who *caller, in *CreateInput, idempotencyKey string) (l store.Link, found bool, err error) {
	l, err = a.newLink(who, in)
	if err != nil {
		return store.Link{}, false, err
	}
	d := &draft{who: who, in: in, link: l}
	if idempotencyKey != "" {
		return a.createOnce(ctx, d, idempotencyKey)
	}
	if existing, ok, err := a.reusable(ctx, d); err != nil || ok {
		return existing, ok, err
	}
	if err := a.protect(ctx, d); err != nil {
		return store.Link{}, false, err
	}
	l, err = a.createFresh(ctx, d.link)
	return l, false, err
}

// protect hashes the password of a draft, if it has one.
func (a *API) protect(ctx context.Context, d *draft) (err error) {
	if d.in.Password.given() && d.link.PasswordHash == "" {
		d.link.PasswordHash, err = a.hashPassword(ctx, d.who, d.in.Password.value)
	}
	return err
}

// newLink returns the link that in describes, without a password and, unless an
// alias was given, without a code. The error holds everything wrong with in.
func (a *API) newLink(who *caller, in *CreateInput) (store.Link, error) {
	now, known := a.opts.LinkTime()
	now = micros(now)
	l := store.Link{Code: in.Alias.value, URL: in.URL, Owner: who.owner(), CreatedAt: now, UpdatedAt: now}
	in.apply(&l)
	var alias, ended error
	if in.Alias.given() {
		alias = a.rules.Alias(l.Code)
	}
	if !l.ExpiresAt.IsZero() && !l.ExpiresAt.After(now) {
		ended = &store.FieldError{Field: "expires_at", Reason: "must be in the future"}
	}
	if !known && !l.ExpiresAt.IsZero() {
		return store.Link{}, errTimeUnknown
	}
	if err := joinInvalid(a.rules.Check(&l), alias, ended, in.check()); err != nil {
		return store.Link{}, err
	}
	return l, nil
}

// createFresh creates l under its alias or a minted code.
func (a *API) createFresh(ctx context.Context, l store.Link) (store.Link, error) {
	if l.Code != "" {
		return a.opts.Store.Create(ctx, l)
	}
	for range mintAttempts {
		code, err := a.mint()
		if err != nil {
			return store.Link{}, err
		}
		l.Code = code
		created, err := a.opts.Store.Create(ctx, l)
		if !errors.Is(err, store.ErrExists) {
			return created, err
		}
		a.metrics.collisions.Inc()
	}
	return store.Link{}, fmt.Errorf("mint a free code: %w", store.ErrUnavailable)
}

// mint returns a fresh code. That none can be minted now is the store's kind of
// trouble: it passes.
func (a *API) mint() (string, error) {
	code, err := a.opts.Minter.NextCode()
	if err != nil {
		return "", fmt.Errorf("mint a code: %w: %w", store.ErrUnavailable, err)
	}
	return code, nil
}

// mintNear is mint for a code that is kept together with a bucket.
func (a *API) mintNear(bucket int) (string, error) {
	code, err := a.opts.Minter.NextCodeNear(bucket)
	if err != nil {
		return "", fmt.Errorf("mint a code: %w: %w", store.ErrUnavailable, err)
	}
	return code, nil
}

// reuseCandidates is how many links of one target are looked at for one that
// can be reused.
const reuseCandidates = 20

// reusable finds the caller's newest live link that is what the draft would
// make, if the draft asks for it, and confirms it.
func (a *API) reusable(ctx context.Context, d *draft) (store.Link, bool, error) {
	if !d.in.Reuse {
		return store.Link{}, false, nil
	}
	page, err := a.opts.Store.List(ctx, store.Query{Owner: d.link.Owner, Target: d.link.URL, Limit: reuseCandidates})
	if err != nil {
		return store.Link{}, false, err
	}
	for i := range page.Links {
		if !d.reuses(&page.Links[i]) {
			continue
		}
		have, err := a.opts.Store.Confirm(ctx, page.Links[i].Code)
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound): // else a failover has lost it
			return store.Link{}, false, err
		case err == nil && d.reuses(&have):
			return have, true, nil
		}
	}
	return store.Link{}, false, nil
}

// reuses reports whether have is live, and does for the draft.
func (d *draft) reuses(have *store.Link) bool {
	return have.State(d.link.CreatedAt) == store.Live && d.fits(have)
}

// fits reports whether have is what the draft would make, and may be given for it.
func (d *draft) fits(have *store.Link) bool {
	// Anonymous callers are strangers to each other: none sees what another wrote.
	private := have.Owner == "" && (have.Title != "" || have.Tags != nil)
	return d.in.Reuse && !d.in.Password.given() && !private &&
		have.URL == d.link.URL && sameSettings(have, &d.link)
}

// sameSettings reports whether have does for a visitor what want would do, and
// carries what its owner asked for.
func sameSettings(have, want *store.Link) bool {
	return (want.Code == "" || want.Code == have.Code) &&
		(want.Title == "" || want.Title == have.Title) &&
		(want.Tags == nil || slices.Equal(want.Tags, have.Tags)) &&
		have.Status == want.Status &&
		have.ForwardQuery == want.ForwardQuery &&
		have.StartsAt.Equal(want.StartsAt) &&
		have.ExpiresAt.Equal(want.ExpiresAt) &&
		have.MaxClicks == want.MaxClicks &&
		have.PasswordHash == ""
}
