package shard

// AcceptsWrites reports whether writes to the shard of a code may succeed now. It is
// false after several writes in a row have failed, until one succeeds.
func (r *Router) AcceptsWrites(code string) bool {
	owner := r.ShardOf(code)
	if owner == unknown {
		return true // the error of the write has the reason
	}
	s, ok := r.shards[owner].Shard.(interface{ AcceptsWrites() bool })
	return !ok || s.AcceptsWrites()
}
