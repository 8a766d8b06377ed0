package links

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// reuseCandidates is how many links with the same target are checked for reuse.
const reuseCandidates = 20

// reusable returns the caller's newest live link that fits the draft, if the draft allows
// reuse. It reads the link again with Confirm, so that a failover cannot lose the link.
func (s *Service) reusable(ctx context.Context, d *draft) (store.Link, bool, error) {
	if !d.Reuse {
		return store.Link{}, false, nil
	}
	page, err := s.opts.Store.List(ctx, store.Query{Owner: d.link.Owner, Domain: new(strings.TrimSuffix(d.prefix, "/")), Target: d.link.URL, Limit: reuseCandidates})
	if err != nil {
		return store.Link{}, false, err
	}
	for i := range page.Links {
		if !d.reuses(&page.Links[i]) {
			continue
		}
		have, err := s.opts.Store.Confirm(ctx, page.Links[i].Code)
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

// fits reports whether have, live or not, has the settings of the draft and may be reused.
func (d *draft) fits(have *store.Link) bool {
	return d.Reuse && !d.hasPassword() && have.URL == d.link.URL && sameSettings(have, &d.link)
}

// sameSettings reports whether have redirects visitors in the same way as want, without a
// password, and has the alias, title and tags that are set in want.
func sameSettings(have, want *store.Link) bool {
	return (want.Code == "" || want.Code == have.Code) &&
		(want.Title == "" || want.Title == have.Title) &&
		(want.Tags == nil || slices.Equal(want.Tags, have.Tags)) &&
		have.Status == want.Status &&
		have.ForwardQuery == want.ForwardQuery &&
		have.ForwardPath == want.ForwardPath &&
		have.StartsAt.Equal(want.StartsAt) &&
		have.ExpiresAt.Equal(want.ExpiresAt) &&
		have.MaxClicks == want.MaxClicks &&
		have.Confirm == want.Confirm &&
		have.NoVisitors == want.NoVisitors &&
		have.Rules == want.Rules &&
		have.PasswordHash == ""
}
