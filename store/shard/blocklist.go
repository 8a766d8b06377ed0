package shard

import (
	"context"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// BlockHost implements store.Blocklist. The shard of the pattern keeps it.
func (r *Router) BlockHost(ctx context.Context, h store.BlockedHost) error {
	_, err := ask(ctx, r, store.BucketOf(h.Pattern.String()), func(s Shard) (struct{}, error) {
		return struct{}{}, s.BlockHost(ctx, h)
	})
	return err
}

// UnblockHost implements store.Blocklist.
func (r *Router) UnblockHost(ctx context.Context, p store.HostPattern) error {
	_, err := ask(ctx, r, store.BucketOf(p.String()), func(s Shard) (struct{}, error) {
		return struct{}{}, s.UnblockHost(ctx, p)
	})
	return err
}

// BlockedHosts implements store.Blocklist. It returns none when a shard fails,
// since one that is missing might be taken for one that is not blocked.
func (r *Router) BlockedHosts(ctx context.Context, after string, limit int) ([]store.BlockedHost, error) {
	lists, errs := everywhere(r, func(_ int, s Shard) ([]store.BlockedHost, error) {
		return s.BlockedHosts(ctx, after, limit)
	})
	if err := outage(ctx, "list blocked hosts", errs); err != nil {
		return nil, err
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b store.BlockedHost) int { return strings.Compare(a.Pattern.String(), b.Pattern.String()) })
	// A bucket that has just moved may have left its hosts behind.
	all = slices.CompactFunc(all, func(a, b store.BlockedHost) bool { return a.Pattern == b.Pattern })
	return all[:min(len(all), max(limit, 1))], nil
}
