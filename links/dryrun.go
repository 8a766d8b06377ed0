package links

import (
	"context"
	"errors"

	"github.com/terse/terse/store"
)

// checkOne returns the error that a create of the draft would return now.
func (s *Service) checkOne(ctx context.Context, who *Caller, in *Draft, prefix string) error {
	l, err := s.newLink(who, in, prefix)
	if err != nil || l.Code == "" {
		return err
	}
	taken := s.checkFree(ctx, l.Code)
	if who.Key == nil || !errors.Is(taken, store.ErrExists) {
		return taken
	}
	newest, err := s.opts.History.Revisions(ctx, l.Code, 0, 2)
	if err != nil {
		return err
	}
	if isReplaceable(newest, l.Owner) {
		return nil
	}
	return taken
}

// checkFree returns store.ErrExists if a code has a link or a tombstone.
func (s *Service) checkFree(ctx context.Context, code string) error {
	_, err := s.opts.Store.Get(ctx, code)
	switch {
	case err == nil:
		return store.ErrExists
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	return err
}

// refuseRepeated rejects each accepted item that has the code of an earlier accepted item, with
// store.ErrExists: only the earlier item would become a link.
func refuseRepeated(results []Result, code func(item int) string) {
	accepted := map[string]bool{}
	for i := range results {
		c := code(i)
		if c == "" || results[i].Err != nil {
			continue
		}
		if accepted[c] {
			results[i] = Result{Err: store.ErrExists}
		}
		accepted[c] = true
	}
}
