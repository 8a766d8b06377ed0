package store_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/store"
)

// TestBucketOf pins the hash, because stored links are found by it.
func TestBucketOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key  string
		want int
	}{
		{"", 0x999},    // XXH64 of nothing is ef46db3751d8e999
		{"abc", 0x999}, // of abc 44bc2cf5ad770999
		{"a", 0xe5b},   // of a d24ec4f1a98c6e5b
		{"spring", 1510},
		{"Kq3xP0aZ9", 3152},
		{"Nobody inspects the spammish repetition", 0xbf1}, // fbcea83c8a378bf1
	} {
		if got := store.BucketOf(tt.key); got != tt.want {
			t.Errorf("BucketOf(%q) = %d, want %d", tt.key, got, tt.want)
		}
	}
}

func TestBucketOfIsABucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		if got := store.BucketOf(key); got < 0 || got >= store.Buckets {
			t.Errorf("BucketOf(%q) = %d, want 0 to %d", key, got, store.Buckets-1)
		}
	})
}
