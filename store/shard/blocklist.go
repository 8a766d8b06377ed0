package shard

import (
	"context"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// BlockHost implements store.Blocklist. The pattern is the key for the shard.
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

// BlockedHosts implements store.Blocklist. It fails if one shard fails, because a missing
// host would look as if it were not blocked.
func (r *Router) BlockedHosts(ctx context.Context, after string, limit int) ([]store.BlockedHost, error) {
	lists, errs := everywhere(r, func(_ int, s Shard) ([]store.BlockedHost, error) {
		return s.BlockedHosts(ctx, after, limit)
	})
	if err := outage(ctx, "list blocked hosts", errs); err != nil {
		return nil, err
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b store.BlockedHost) int { return strings.Compare(a.Pattern.String(), b.Pattern.String()) })
	// A moved bucket may have left its hosts on the old shard.
	all = slices.CompactFunc(all, func(a, b store.BlockedHost) bool { return a.Pattern == b.Pattern })
	return all[:min(len(all), max(limit, 1))], nil
}
