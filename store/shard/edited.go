package shard

// Edited passes on that another process has announced an edit of a link. It informs the
// shard of the link, or all shards if that is not known.
func (r *Router) Edited(code string, version int64) {
	type noter interface {
		Edited(code string, version int64)
	}
	owner := r.ShardOf(code)
	for i := range r.shards {
		if s, ok := r.shards[i].Shard.(noter); ok && (i == owner || owner == unknown) {
			s.Edited(code, version)
		}
	}
}
