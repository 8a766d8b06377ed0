package links

import (
	"context"
	"errors"
	"fmt"

	"github.com/terse/terse/store"
)

// createAttempts is the most codes that one create tries. A minted code is in use only if a user
// chose it as an alias, so a second attempt is rare.
const createAttempts = 4

// maxPasswords is how many links of a batch may have a password. Hashing a password takes
// tens of milliseconds.
const maxPasswords = 20

// Batch is links to create. A single create is a batch of one.
type Batch struct {
	// Key is the idempotency key of the batch; may be empty. Key and the position of a draft
	// are the idempotency key of the draft, unless the draft has its own key.
	Key string

	Drafts []Draft

	// DryRun only checks the drafts: Create creates no link, finds none to reuse and uses no
	// idempotency key. The results are those that creates would have now, without links.
	DryRun bool
}

// Result is the result of one link of a batch.
type Result struct {
	Link  store.Link
	Found bool  // an existing link was returned instead of a new one
	Err   error // no link was created or found
}

// Create creates links and returns one result for each draft, in the same order. An invalid
// draft does not affect the others. If drafts have the same alias, the first one becomes the
// link, see inTurns. Create may change b.Drafts. Create itself returns only errors of May.
func (s *Service) Create(ctx context.Context, who *Caller, b Batch) ([]Result, error) {
	if err := s.May(who, Creating); err != nil {
		return nil, err
	}
	b.limitPasswords()
	results := make([]Result, len(b.Drafts))
	prefixes := make([]string, len(b.Drafts))
	for i := range b.Drafts {
		d := &b.Drafts[i]
		id, err := s.domainFor(who, d.Domain)
		prefixes[i], d.Err = store.LinkKey(id, ""), store.JoinFound(d.Err, err)
	}
	key := func(i int) string {
		if alias := b.Drafts[i].Alias; alias != nil && *alias != "" {
			return prefixes[i] + *alias
		}
		return ""
	}
	if b.DryRun {
		inTurns(results, key, func(i int) Result { return Result{Err: s.checkOne(ctx, who, &b.Drafts[i], prefixes[i])} })
		refuseRepeated(results, key)
		return results, nil
	}
	inTurns(results, key, func(i int) (r Result) {
		r.Link, r.Found, r.Err = s.createOne(ctx, who, &b.Drafts[i], prefixes[i], b.keyOf(i))
		return r
	})
	return results, nil
}

// limitPasswords rejects drafts with a password after the first maxPasswords of them.
func (b *Batch) limitPasswords() {
	passwords := 0
	for i := range b.Drafts {
		d := &b.Drafts[i]
		if !d.hasPassword() {
			continue
		}
		if passwords++; passwords > maxPasswords {
			d.Password = nil
			d.Err = store.JoinInvalid(d.Err, &store.FieldError{Field: "password", Reason: fmt.Sprintf("may be set in at most %d links of a batch", maxPasswords)})
		}
	}
}

// draft is a checked Draft.
type draft struct {
	*Draft
	who    *Caller
	prefix string     // of the keys of its domain, see store.LinkKey
	link   store.Link // without a password hash; the code is empty, or the key with the alias
}

// createOne creates the link of a draft on the domain whose keys begin with prefix. It returns an existing link if the draft allows reuse,
// or if the key was used before. found reports whether the link existed.
func (s *Service) createOne(ctx context.Context, who *Caller, in *Draft, prefix string, key idempotencyKey) (l store.Link, found bool, err error) {
	l, err = s.newLink(who, in, prefix)
	if err != nil {
		return store.Link{}, false, err
	}
	d := &draft{Draft: in, who: who, prefix: prefix, link: l}
	if key != "" {
		return s.createIdempotent(ctx, d, key)
	}
	if existing, ok, err := s.reusable(ctx, d); err != nil || ok {
		return existing, ok, err
	}
	if err := s.hashDraftPassword(ctx, d); err != nil {
		return store.Link{}, false, err
	}
	l, err = s.createFresh(ctx, d.who, d.link, prefix)
	return l, false, err
}

// newLink returns the link that in describes, without the password hash. Its code is empty, or
// the key that consists of prefix and the alias. The error names every invalid field.
func (s *Service) newLink(who *Caller, in *Draft, prefix string) (store.Link, error) {
	if in.Err != nil && !store.IsInvalid(in.Err) {
		return store.Link{}, in.Err
	}
	now, known := s.opts.Clock.LinkTime()
	now = micros(now)
	l := store.Link{URL: in.URL, Owner: who.Owner(), CreatedAt: now, UpdatedAt: now}
	in.apply(&l)
	var alias, ended, reuse error
	if in.Alias != nil {
		l.Code = prefix + *in.Alias
		alias = s.rules.Alias(*in.Alias)
	}
	if in.Reuse && who.Key == nil {
		reuse = &store.FieldError{Field: "reuse", Reason: "needs an API key: without one, links of other people would be returned"}
	}
	last := now.Add(s.opts.AnonymousLife)
	bounded := who.Key == nil && s.opts.AnonymousLife > 0
	switch {
	case l.ExpiresAt.IsZero() && bounded:
		l.ExpiresAt = last
	case l.ExpiresAt.IsZero():
	case !l.ExpiresAt.After(now):
		ended = &store.FieldError{Field: "expires_at", Reason: "must be in the future"}
	case bounded && l.ExpiresAt.After(last):
		ended = &store.FieldError{Field: "expires_at", Reason: fmt.Sprintf("must be at most %v from now without an API key", s.opts.AnonymousLife)}
	}
	if !known && !l.ExpiresAt.IsZero() {
		return store.Link{}, ErrTimeUnknown
	}
	if err := store.JoinFound(in.Err, s.check(&l, in.Rules), alias, ended, reuse, in.checkPassword()); err != nil {
		return store.Link{}, err
	}
	return l, nil
}

// hashDraftPassword hashes the password of a draft, if it has one.
func (s *Service) hashDraftPassword(ctx context.Context, d *draft) (err error) {
	if d.hasPassword() && d.link.PasswordHash == "" {
		d.link.PasswordHash, err = s.hashPassword(ctx, d.who, *d.Password)
	}
	return err
}

// createFresh creates l with its key, or with prefix and a minted code.
func (s *Service) createFresh(ctx context.Context, who *Caller, l store.Link, prefix string) (store.Link, error) {
	if l.Code != "" {
		created, err := s.opts.Store.Create(ctx, l)
		if errors.Is(err, store.ErrExists) {
			return s.recreate(ctx, who, l, nil, err)
		}
		return created, err
	}
	for range createAttempts {
		key, err := s.opts.Minter.NextKey(prefix)
		if err != nil {
			return store.Link{}, cannotMint(err)
		}
		l.Code = key
		created, err := s.opts.Store.Create(ctx, l)
		if !errors.Is(err, store.ErrExists) {
			return created, err
		}
		s.collisions.Inc()
	}
	return store.Link{}, errNoFreeCode
}

// errNoFreeCode is the error when all createAttempts codes are in use.
var errNoFreeCode = fmt.Errorf("mint a free code: %w", store.ErrUnavailable)

// cannotMint wraps an error of a minter in store.ErrUnavailable, because it is temporary.
func cannotMint(err error) error {
	return fmt.Errorf("mint a code: %w: %w", store.ErrUnavailable, err)
}
