package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/store"
)

// PutCertificateFile implements store.Certificates. Every shard gets a copy. It succeeds when
// one shard has stored the file; a later read copies the file to the others.
func (r *Router) PutCertificateFile(ctx context.Context, f store.CertificateFile) error {
	_, errs := everywhere(r, func(_ int, s Shard) (struct{}, error) {
		return struct{}{}, s.PutCertificateFile(ctx, f)
	})
	if slices.Contains(errs, nil) {
		return nil
	}
	return outage(ctx, fmt.Sprintf("put certificate file %q", f.Key), errs)
}

// CertificateFile implements store.Certificates. It returns the newest copy of the shards that
// answer, and copies it to the shards with an older copy. It fails if no shard answers.
func (r *Router) CertificateFile(ctx context.Context, key string) (store.CertificateFile, error) {
	files, errs := everywhere(r, func(_ int, s Shard) (store.CertificateFile, error) {
		f, err := s.CertificateFile(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return store.CertificateFile{}, nil // with the zero time, it is older than every file
		}
		return f, err
	})
	if !slices.Contains(errs, nil) {
		return store.CertificateFile{}, outage(ctx, fmt.Sprintf("certificate file %q", key), errs)
	}
	newest := -1
	for i, f := range files {
		if errs[i] == nil && (newest < 0 || f.Newer(files[newest])) {
			newest = i
		}
	}
	f := files[newest]
	if f.ModifiedAt.IsZero() {
		return store.CertificateFile{}, fmt.Errorf("shard: certificate file %q: %w", key, store.ErrNotFound)
	}
	// If a copy fails, a later read makes it.
	_, _ = everywhere(r, func(i int, s Shard) (struct{}, error) {
		if errs[i] != nil || !f.Newer(files[i]) {
			return struct{}{}, nil
		}
		return struct{}{}, s.PutCertificateFile(ctx, f)
	})
	return f, nil
}

// CertificateFiles implements store.Certificates. It merges the lists of the shards that answer.
func (r *Router) CertificateFiles(ctx context.Context, prefix, after string, limit int) ([]store.CertificateFile, error) {
	lists, errs := everywhere(r, func(_ int, s Shard) ([]store.CertificateFile, error) {
		return s.CertificateFiles(ctx, prefix, after, limit)
	})
	if !slices.Contains(errs, nil) {
		return nil, outage(ctx, fmt.Sprintf("list certificate files %q", prefix), errs)
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b store.CertificateFile) int {
		newer := 1
		if a.Newer(b) {
			newer = -1
		}
		return cmp.Or(strings.Compare(a.Key, b.Key), newer)
	})
	all = slices.CompactFunc(all, func(a, b store.CertificateFile) bool { return a.Key == b.Key })
	return all[:min(len(all), max(limit, 1))], nil
}

// LockCertificate implements store.Certificates. It takes the lock in every shard that answers,
// and needs at least one. All callers ask the shards in the same order, so that the first shard
// decides between them. If another holder has the lock in one shard, the attempt ends.
//
// So an unreachable shard prevents no lock. One shard that two callers reach is enough to exclude
// the second caller. Two callers get the same lock only if no shard answers both of them. Then
// both obtain a certificate, which costs one more order.
func (r *Router) LockCertificate(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	first := int(xxhash.Sum64String(name) % uint64(len(r.shards))) //nolint:gosec // below the number of shards
	var errs []error
	var taken []int
	for n := range r.shards {
		i := (first + n) % len(r.shards)
		held, err := r.shards[i].Shard.LockCertificate(ctx, name, holder, ttl)
		if err == nil && held {
			taken = append(taken, i)
			continue
		}
		if err == nil {
			r.unlock(ctx, name, holder, taken)
			return false, nil
		}
		errs = append(errs, r.named(i, err))
	}
	if ctx.Err() != nil {
		r.unlock(ctx, name, holder, taken)
		return false, outage(ctx, fmt.Sprintf("lock certificate %q", name), errs)
	}
	if len(taken) > 0 {
		return true, nil
	}
	return false, outage(ctx, fmt.Sprintf("lock certificate %q", name), errs)
}

// unlock releases a lock in some shards. A lock that cannot be released ends after its ttl.
func (r *Router) unlock(ctx context.Context, name, holder string, shards []int) {
	for _, i := range shards {
		_ = r.shards[i].Shard.UnlockCertificate(context.WithoutCancel(ctx), name, holder)
	}
}

// RenewCertificateLock implements store.Certificates. The lock is held while one shard says so.
// The holder then takes it in shards that answer again.
func (r *Router) RenewCertificateLock(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	renewed, errs := everywhere(r, func(_ int, s Shard) (bool, error) { return s.RenewCertificateLock(ctx, name, holder, ttl) })
	if !slices.Contains(renewed, true) {
		return false, outage(ctx, fmt.Sprintf("renew certificate lock %q", name), errs)
	}
	_, _ = everywhere(r, func(i int, s Shard) (bool, error) {
		if renewed[i] || errs[i] != nil {
			return true, nil
		}
		return s.LockCertificate(ctx, name, holder, ttl)
	})
	return true, nil
}

// UnlockCertificate implements store.Certificates.
func (r *Router) UnlockCertificate(ctx context.Context, name, holder string) error {
	_, errs := everywhere(r, func(_ int, s Shard) (struct{}, error) {
		return struct{}{}, s.UnlockCertificate(ctx, name, holder)
	})
	if slices.Contains(errs, nil) {
		return nil // elsewhere, the lock ends after its ttl
	}
	return outage(ctx, fmt.Sprintf("unlock certificate %q", name), errs)
}
