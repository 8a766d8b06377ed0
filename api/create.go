package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/terse/terse/store"
)

// mintAttempts is the most codes that a create mints. A minted code is in use only if a user
// chose it as an alias, so a second attempt is rare.
const mintAttempts = 4

type createLinkInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A unique text that you choose. A repeated create with the same key and body returns the same link, for at least 24 hours."`
	Body           CreateInput
}

type createLinkOutput struct {
	Status   int
	Location string `header:"Location" doc:"The short URL."`
	ETag     string `header:"ETag"`
	RateHeaders
	Body linkBody
}

// createLink creates a link. The precheck has charged the caller.
func (a *API) createLink(ctx context.Context, in *createLinkInput) (*createLinkOutput, error) {
	headers := chargeOf(ctx).headers
	l, found, err := a.create(ctx, callerOf(ctx), &in.Body, in.IdempotencyKey)
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, err))
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

// mayCreate returns a 401 or 403 if the caller must not create links, else nil.
func (a *API) mayCreate(who *caller) error {
	if who.key == nil && a.opts.AnonymousCreate {
		return nil
	}
	return who.require(store.ScopeLinksWrite)
}

// draft is a link before it is created.
type draft struct {
	who  *caller
	in   *CreateInput
	link store.Link // the code is empty, or the alias
}

// create creates one link, or returns an existing one: when in allows reuse, or when
// idempotencyKey was used before. found reports a reused link. idempotencyKey may be empty.
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

// newLink returns the link that in describes, without the password hash. Its code is the
// alias, or empty. The error names every invalid field.
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
	if err := store.JoinInvalid(a.rules.Check(&l), alias, ended, in.check()); err != nil {
		return store.Link{}, err
	}
	return l, nil
}

// createFresh creates l with its alias or a minted code.
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

// mint returns a new code. An error of the minter is temporary, so it becomes
// store.ErrUnavailable.
func (a *API) mint() (string, error) {
	code, err := a.opts.Minter.NextCode()
	if err != nil {
		return "", fmt.Errorf("mint a code: %w: %w", store.ErrUnavailable, err)
	}
	return code, nil
}

// mintNear is mint for a code on the shard of a bucket, see CodeMinter.NextCodeNear.
func (a *API) mintNear(bucket int) (string, error) {
	code, err := a.opts.Minter.NextCodeNear(bucket)
	if err != nil {
		return "", fmt.Errorf("mint a code: %w: %w", store.ErrUnavailable, err)
	}
	return code, nil
}

// reuseCandidates is how many links with the same target are checked for reuse.
const reuseCandidates = 20

// reusable returns the caller's newest live link that equals the draft, if the draft allows
// reuse. The link is read again with Confirm, so that a failover cannot lose it.
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
		case err != nil && !errors.Is(err, store.ErrNotFound): // ErrNotFound: a failover lost the link
			return store.Link{}, false, err
		case err == nil && d.reuses(&have):
			return have, true, nil
		}
	}
	return store.Link{}, false, nil
}

// reuses reports whether have is live and can be returned for the draft.
func (d *draft) reuses(have *store.Link) bool {
	return have.State(d.link.CreatedAt) == store.Live && d.fits(have)
}

// fits reports whether have equals the draft and may be returned for it.
func (d *draft) fits(have *store.Link) bool {
	// An anonymous caller must not see the title or the tags of another one.
	private := have.Owner == "" && (have.Title != "" || have.Tags != nil)
	return d.in.Reuse && !d.in.Password.given() && !private &&
		have.URL == d.link.URL && sameSettings(have, &d.link)
}

// sameSettings reports whether have redirects visitors as want would, and has the alias,
// title and tags of want. Empty fields of want match any value.
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
