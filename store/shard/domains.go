package shard

import (
	"context"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// AddDomain implements store.Domains. The id is the key for the shard.
func (r *Router) AddDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	return ask(ctx, r, store.BucketOf(d.ID), func(s Shard) (store.Domain, error) { return s.AddDomain(ctx, d) })
}

// UpdateDomain implements store.Domains.
func (r *Router) UpdateDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	return ask(ctx, r, store.BucketOf(d.ID), func(s Shard) (store.Domain, error) { return s.UpdateDomain(ctx, d) })
}

// Domain implements store.Domains.
func (r *Router) Domain(ctx context.Context, id string) (store.Domain, error) {
	return ask(ctx, r, store.BucketOf(id), func(s Shard) (store.Domain, error) { return s.Domain(ctx, id) })
}

// ListDomains implements store.Domains. It fails if one shard fails, because a missing domain would
// look as if it did not exist.
func (r *Router) ListDomains(ctx context.Context, after string, limit int) ([]store.Domain, error) {
	all, err := gather(ctx, r, "list domains", func(s Shard) ([]store.Domain, error) { return s.ListDomains(ctx, after, limit) },
		func(d store.Domain) string { return d.ID })
	return all[:min(len(all), max(limit, 1))], err
}

// ClaimHost implements store.Domains. The host is the key for the shard.
func (r *Router) ClaimHost(ctx context.Context, h store.DomainHost) (store.DomainHost, error) {
	return ask(ctx, r, store.BucketOf(h.Host), func(s Shard) (store.DomainHost, error) { return s.ClaimHost(ctx, h) })
}

// UpdateHost implements store.Domains.
func (r *Router) UpdateHost(ctx context.Context, from string, h store.DomainHost) error {
	_, err := ask(ctx, r, store.BucketOf(h.Host), func(s Shard) (struct{}, error) { return struct{}{}, s.UpdateHost(ctx, from, h) })
	return err
}

// ReleaseHost implements store.Domains.
func (r *Router) ReleaseHost(ctx context.Context, host, domainID string) error {
	_, err := ask(ctx, r, store.BucketOf(host), func(s Shard) (struct{}, error) { return struct{}{}, s.ReleaseHost(ctx, host, domainID) })
	return err
}

// Host implements store.Domains.
func (r *Router) Host(ctx context.Context, host string) (store.DomainHost, error) {
	return ask(ctx, r, store.BucketOf(host), func(s Shard) (store.DomainHost, error) { return s.Host(ctx, host) })
}

// HostsOf implements store.Domains. It fails if one shard fails.
func (r *Router) HostsOf(ctx context.Context, domainID string) ([]store.DomainHost, error) {
	return gather(ctx, r, "list hosts of a domain", func(s Shard) ([]store.DomainHost, error) { return s.HostsOf(ctx, domainID) },
		func(h store.DomainHost) string { return h.Host })
}

// ListHosts implements store.Domains. It fails if one shard fails.
func (r *Router) ListHosts(ctx context.Context, after string, limit int) ([]store.DomainHost, error) {
	all, err := gather(ctx, r, "list hosts", func(s Shard) ([]store.DomainHost, error) { return s.ListHosts(ctx, after, limit) },
		func(h store.DomainHost) string { return h.Host })
	return all[:min(len(all), max(limit, 1))], err
}

// gather returns the rows of all shards, sorted by key and without repetitions: a moved bucket
// may have left its rows on the old shard. It fails if one shard fails.
func gather[T any](ctx context.Context, r *Router, op string, call func(s Shard) ([]T, error), key func(T) string) ([]T, error) {
	lists, errs := everywhere(r, func(_ int, s Shard) ([]T, error) { return call(s) })
	if err := outage(ctx, op, errs); err != nil {
		return nil, err
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return slices.CompactFunc(all, func(a, b T) bool { return key(a) == key(b) }), nil
}
