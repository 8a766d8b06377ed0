package shard

import (
	"context"

	"github.com/terse/terse/store"
)

// Revisions implements store.History.
func (r *Router) Revisions(ctx context.Context, code string, before int64, limit int) ([]store.Revision, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) ([]store.Revision, error) {
		return s.Revisions(ctx, code, before, limit)
	})
}
