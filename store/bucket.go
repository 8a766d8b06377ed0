package store

import "github.com/cespare/xxhash/v2"

// Buckets is the number of buckets, which never changes.
const Buckets = 4096

// BucketOf returns the bucket of a key, 0 to Buckets-1. LinkKey returns the key of a link.
// Other data that is spread over shards has other keys. The hash is a data format: the
// lowest 12 bits of xxhash64 with seed 0.
func BucketOf(key string) int {
	return int(xxhash.Sum64String(key) & (Buckets - 1))
}

// Bucket is one bucket that a shard owns.
type Bucket struct {
	Number int   // 0 to Buckets-1
	Epoch  int64 // grows when the bucket changes its owner; starts at 1
}
