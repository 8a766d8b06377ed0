package shard_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/shard"
)

// newKey returns a key for the given shard of a group of n.
func newKey(n, on int) store.Key {
	for {
		_, hash := store.NewToken()
		if store.BucketOf(string(hash[:]))%n == on {
			return store.Key{ID: store.NewKeyID(), Hash: hash, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
		}
	}
}

func (g *group) createKey(t *testing.T, on int) store.Key {
	t.Helper()
	k := newKey(len(g.members), on)
	if err := g.CreateKey(t.Context(), k); err != nil {
		t.Fatalf("CreateKey(%q) = %v, want nil", k.ID, err)
	}
	return k
}

func TestKeyIDOfAnotherShardIsTaken(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	k := newKey(3, 2)
	k.ID = g.createKey(t, 1).ID
	err := g.CreateKey(t.Context(), k)
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("CreateKey() = %v, want %v", err, store.ErrExists)
	}
	wantErrorText(t, "CreateKey()", err, "shard s2: ")
}

func TestKeysWithDeadShard(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	alive, dead := g.createKey(t, 0), g.createKey(t, 1)
	g.members[1].fail(store.ErrUnavailable)

	keys, err := g.ListKeys(t.Context())
	if !errors.Is(err, store.ErrUnavailable) || keys != nil {
		t.Errorf("ListKeys() = %v, %v, want only %v", keys, err, store.ErrUnavailable)
	}
	wantErrorText(t, "ListKeys()", err, "shard s2: ")

	at := alive.CreatedAt.Add(time.Hour)
	if k, err := g.RevokeKey(t.Context(), alive.ID, at); err != nil || !k.RevokedAt.Equal(at) {
		t.Errorf("RevokeKey() = %+v, %v, want it revoked", k, err)
	}
	_, err = g.RevokeKey(t.Context(), dead.ID, at)
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("RevokeKey() = %v, want only %v", err, store.ErrUnavailable)
	}
	wantErrorText(t, "RevokeKey()", err, "shard s2: ")
	g.createKey(t, 2)

	g.members[1].fail(store.ErrMoved)
	if _, err = g.RevokeKey(t.Context(), dead.ID, at); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrMoved) {
		t.Errorf("RevokeKey() = %v, want only %v", err, store.ErrUnavailable)
	}
}

// TestRevokeKeyOfMovedBucket revokes a key while its bucket moves: the old shard no longer
// owns the bucket, and the new shard did not have the key yet. Both are asked again.
func TestRevokeKeyOfMovedBucket(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	g := loaded(t, 2, func(o *shard.Options) { o.Registerer = reg })
	k := g.createKey(t, 1)
	at := k.CreatedAt.Add(time.Hour)
	g.members[0].failRevoke(store.ErrMoved)
	g.members[1].failRevoke(store.ErrNotFound)
	if got, err := g.RevokeKey(t.Context(), k.ID, at); err != nil || !got.RevokedAt.Equal(at) {
		t.Errorf("RevokeKey() = %+v, %v, want it revoked", got, err)
	}
	wantMetrics(t, reg, "terse_shard_moved_total", "counter", "terse_shard_moved_total 1")
	wantMetrics(t, reg, "terse_shard_moved_failures_total", "counter", "terse_shard_moved_failures_total 0")
}

// TestListKeysWithLeftovers lists a revoked key whose old shard still has it as not revoked.
func TestListKeysWithLeftovers(t *testing.T) {
	t.Parallel()
	g := loaded(t, 2)
	k := newKey(2, 0)
	revoked := k
	revoked.RevokedAt = k.CreatedAt.Add(time.Hour)
	for i, k := range []store.Key{k, revoked} {
		if err := g.members[i].Store.CreateKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := g.ListKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].RevokedAt.IsZero() {
		t.Errorf("ListKeys() = %+v, %v, want the revoked key", keys, err)
	}
}
