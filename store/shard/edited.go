package shard

// Edited tells the shard of a link that another process has told of an edit, and
// all of them while it is not known whose the link is.
func (r *Router) Edited(code string, version int64) {
	type noter interface {
		Edited(code string, version int64)
	}
	owner := r.ShardOf(code)
	for i := range r.shards {
		if s, ok := r.shards[i].Shard.(noter); ok && (i == owner || owner == nobody) {
			s.Edited(code, version)
		}
	}
}
