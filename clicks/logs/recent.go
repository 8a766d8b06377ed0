package logs

// recentLines is the least number of latest lines that a recent remembers. It needs up to about 200 MB.
const recentLines = 4 << 20

// recent is a set of the latest hashes. The zero value is empty.
type recent struct{ current, previous map[uint64]struct{} }

// add reports whether the hash is new.
func (r *recent) add(hash uint64) bool {
	if _, ok := r.current[hash]; ok {
		return false
	}
	if _, ok := r.previous[hash]; ok {
		return false
	}
	if r.current == nil || len(r.current) == recentLines {
		r.previous, r.current = r.current, map[uint64]struct{}{}
	}
	r.current[hash] = struct{}{}
	return true
}
