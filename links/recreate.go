package links

import (
	"context"
	"errors"

	"github.com/terse/terse/store"
)

// recreate creates l if its alias is a tombstone that the caller may replace. Otherwise it
// returns the error taken. The history of the tombstone continues. reserved is the reservation of
// a request with an idempotency key, or nil. recreate restores no link that was deleted after the
// reservation: an earlier attempt of the request may have created this link.
func (s *Service) recreate(ctx context.Context, who *Caller, l store.Link, reserved *store.Reservation, taken error) (store.Link, error) {
	if who.Key == nil { // all callers without a key have the same owner
		return store.Link{}, taken
	}
	newest, err := s.opts.History.Revisions(ctx, l.Code, 0, 2)
	if err != nil {
		return store.Link{}, err
	}
	if !isReplaceable(newest, l.Owner) {
		return store.Link{}, taken
	}
	if reserved != nil {
		valid, _, err := s.reserve(ctx, *reserved)
		switch {
		case err != nil:
			return store.Link{}, err
		case !newest[0].Link.DeletedAt.Before(valid.CreatedAt):
			return store.Link{}, taken
		}
		l.RequestID = reserved.Key
	}
	l.Version = newest[0].Link.Version
	restored, err := s.opts.Store.Restore(authored(ctx, who, ""), l)
	if errors.Is(err, store.ErrVersion) || errors.Is(err, store.ErrExists) { // another create was first
		return store.Link{}, taken
	}
	return restored, err
}

// isReplaceable reports whether a link with these newest revisions is a tombstone that the owner
// may replace. The owner has deleted the link, and it was not disabled before: an owner must not
// undo a takedown.
func isReplaceable(newest []store.Revision, owner string) bool {
	if len(newest) < 2 { // an imported tombstone: whether the link was disabled is unknown
		return false
	}
	tombstone, last := &newest[0], &newest[1]
	return !tombstone.Link.DeletedAt.IsZero() && tombstone.Link.Owner == owner && tombstone.Author.ID == owner &&
		last.Link.DisabledAt.IsZero()
}
