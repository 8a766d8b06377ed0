package abuse

import (
	"context"
	"encoding/base64"

	"github.com/terse/terse/store"
)

// BlockHost blocks a host in the database, in the notation of store.ParseHostPattern. If it is
// already blocked, only its reason is replaced.
func (s *Service) BlockHost(ctx context.Context, who Caller, host, reason string) (store.BlockedHost, error) {
	if err := s.May(who); err != nil {
		return store.BlockedHost{}, err
	}
	pattern, err := store.ParseHostPattern(host)
	if err := store.JoinInvalid(err, store.CheckText("reason", reason, store.MaxBlockReasonLen)); err != nil {
		return store.BlockedHost{}, err
	}
	h := store.BlockedHost{Pattern: pattern, Reason: reason, By: who.Author(), BlockedAt: s.now()}
	return h, s.opts.Blocklist.BlockHost(ctx, h)
}

// UnblockHost removes a host from the blocklist of the database. It returns store.ErrNotFound
// for a host that is not on it. Links that were disabled because of the host stay disabled.
func (s *Service) UnblockHost(ctx context.Context, who Caller, host string) error {
	if err := s.May(who); err != nil {
		return err
	}
	pattern, err := store.ParseHostPattern(host)
	if err != nil {
		return store.ErrNotFound
	}
	return s.opts.Blocklist.UnblockHost(ctx, pattern)
}

// BlockedHosts returns a page of the blocklist of the database, sorted by host. limit is the
// maximum length of the page, 1 to store.MaxPageLen. next is the cursor of the next page, and
// empty on the last page. For an invalid cursor the error is store.ErrCursor.
func (s *Service) BlockedHosts(ctx context.Context, who Caller, cursor string, limit int) (hosts []store.BlockedHost, next string, err error) {
	if err := s.May(who); err != nil {
		return nil, "", err
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil && len(after) > 0 {
		_, err = store.ParseHostPattern(string(after))
	}
	if err != nil {
		return nil, "", store.ErrCursor
	}
	limit = min(max(limit, 1), store.MaxPageLen)
	hosts, err = s.opts.Blocklist.BlockedHosts(ctx, string(after), limit)
	if err == nil && len(hosts) == limit {
		next = base64.RawURLEncoding.EncodeToString([]byte(hosts[len(hosts)-1].Pattern.String()))
	}
	return hosts, next, err
}
