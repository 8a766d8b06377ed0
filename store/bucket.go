package store

import "github.com/cespare/xxhash/v2"

// Buckets is how many buckets all keys are divided among, fixed for life.
const Buckets = 4096

// BucketOf returns the bucket of a key, 0 to Buckets-1. Codes are the keys of
// links; other things that are spread over shards have keys of their own. It is
// a data format: xxhash64 with seed 0, its lowest 12 bits.
func BucketOf(key string) int {
	return int(xxhash.Sum64String(key) & (Buckets - 1))
}

// Bucket is one bucket that a shard owns.
type Bucket struct {
	Number int   // 0 to Buckets-1
	Epoch  int64 // grows when the bucket changes its owner; starts at 1
}
