package clicks

import (
	"strings"
	"sync"

	"github.com/terse/terse/store"
)

// stripe counts the clicks of some codes.
type stripe struct {
	mu       sync.Mutex
	live     table
	spare    table // empty; used only by the current flush
	capacity int   // most codes in live
	closed   bool
	counts   counts
	_        [64]byte // puts the next stripe's lock on another cache line
}

// counts are numbers of clicks since the start, except pending.
type counts struct {
	recorded int64 // all clicks
	full     int64 // dropped because the stripe was full
	late     int64 // dropped because the recorder was closed
	pending  int64 // not flushed yet
}

// table has one row for each code. index contains row numbers instead of counts: an
// assignment to a map with string keys replaces the key, and the key may be part of the
// memory of a whole request.
type table struct {
	rows  []row
	index map[string]int32
}

type row struct {
	code   string
	clicks int64
	last   int64 // Unix microseconds
}

func (s *stripe) init(capacity int) {
	s.capacity = capacity
	s.live.index = map[string]int32{}
	s.spare.index = map[string]int32{}
}

// add counts c and reports whether the stripe has become half full. The caller must
// hold the lock.
func (s *stripe) add(c store.Click) (halfFull bool) {
	s.counts.recorded++
	if s.closed {
		s.counts.late++
		return false
	}
	at := c.At.UnixMicro()
	if i, ok := s.live.index[c.Code]; ok {
		r := &s.live.rows[i]
		r.clicks++
		r.last = max(r.last, at)
		s.counts.pending++
		return false
	}
	n := len(s.live.rows)
	if n == s.capacity {
		s.counts.full++
		return false
	}
	code := strings.Clone(c.Code)
	s.live.index[code] = int32(n) //nolint:gosec // below the capacity
	s.live.rows = append(s.live.rows, row{code: code, clicks: 1, last: at})
	s.counts.pending++
	return n+1 == (s.capacity+1)/2
}

// take empties the stripe and calls each with its rows. It holds the lock only to swap
// the tables.
func (s *stripe) take(each func(row)) {
	s.mu.Lock()
	taken := s.live
	s.live = s.spare
	s.counts.pending = 0
	s.mu.Unlock()

	for _, r := range taken.rows {
		each(r)
	}
	clear(taken.rows)
	clear(taken.index)
	s.spare = table{rows: taken.rows[:0], index: taken.index}
}

func (s *stripe) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// sum returns the counts of all stripes.
func (r *Recorder) sum() counts {
	var sum counts
	for i := range r.stripes {
		s := &r.stripes[i]
		s.mu.Lock()
		c := s.counts
		s.mu.Unlock()
		sum.recorded += c.recorded
		sum.full += c.full
		sum.late += c.late
		sum.pending += c.pending
	}
	sum.pending += r.waiting.Load()
	return sum
}
