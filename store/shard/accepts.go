package shard

// AcceptsWrites reports whether the shard of a code is sent writes now. It is false
// after several writes to the shard have failed in a row, until one goes well.
func (r *Router) AcceptsWrites(code string) bool {
	owner := r.ShardOf(code)
	if owner == unknown {
		return true // the write says why it fails
	}
	s, ok := r.shards[owner].Shard.(interface{ AcceptsWrites() bool })
	return !ok || s.AcceptsWrites()
}
