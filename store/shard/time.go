package shard

import (
	"slices"
	"time"
)

// Time returns the median of the shards' clocks, which decides when links start and end.
// Of two in the middle it is the one nearer to this node's clock. known is false, and now
// is this node's clock, while no shard's clock is known. Shards without a clock of their
// own go by this node's.
func (r *Router) Time() (now time.Time, known bool) {
	type timer interface {
		Time() (now time.Time, ok bool)
	}
	node := r.opts.Now()
	var ahead []time.Duration
	clocks := 0
	for i := range r.shards {
		s, ok := r.shards[i].Shard.(timer)
		if !ok {
			continue
		}
		clocks++
		if at, ok := s.Time(); ok {
			ahead = append(ahead, at.Sub(node.Round(0)))
		}
	}
	if len(ahead) == 0 {
		return node, clocks == 0
	}
	slices.Sort(ahead)
	lower, upper := ahead[(len(ahead)-1)/2], ahead[len(ahead)/2]
	if lower.Abs() < upper.Abs() {
		return node.Add(lower), true
	}
	return node.Add(upper), true
}
