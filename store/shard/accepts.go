package shard

// AcceptsWrites reports whether the shard of a code is sent writes now. It is false
// for a shard whose writes have failed again and again, until one has gone well.
func (r *Router) AcceptsWrites(code string) bool {
	owner := r.ShardOf(code)
	if owner == unknown {
		return true // the write says why it fails
	}
	s, ok := r.shards[owner].Shard.(interface{ AcceptsWrites() bool })
	return !ok || s.AcceptsWrites()
}
