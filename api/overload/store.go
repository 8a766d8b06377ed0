package overload

import (
	"context"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// quick is how soon a failure says nothing of how much there is to do: a breaker is
// open, or a server is gone.
const quick = 100 * time.Millisecond

// Store returns s with a bound on what redirects ask of it at once. It is for below
// a cache, so that what that knows is never refused.
func (g *Guard) Store(s store.Store) store.Store { return guarded{s, g} }

type guarded struct {
	store.Store
	guard *Guard
}

// Resolve implements store.Store.
func (s guarded) Resolve(ctx context.Context, code string) (l store.Link, err error) {
	return s.redirect(func() (store.Link, error) { return s.Store.Resolve(ctx, code) })
}

// Consume implements store.Store.
func (s guarded) Consume(ctx context.Context, code string, now time.Time) (store.Link, error) {
	return s.redirect(func() (store.Link, error) { return s.Store.Consume(ctx, code, now) })
}

func (s guarded) redirect(ask func() (store.Link, error)) (store.Link, error) {
	done, err := s.guard.Admit(Redirect)
	if err != nil {
		return store.Link{}, err
	}
	began := time.Now()
	telling := false // a panic is not
	defer func() { done(telling) }()
	l, err := ask()
	telling = !errors.Is(err, store.ErrUnavailable) || time.Since(began) > quick
	return l, err
}
