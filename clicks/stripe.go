package clicks

import (
	"bytes"
	"sync"
)

// stripe holds the records of some clicks until they are classified.
type stripe struct {
	mu       sync.Mutex
	live     table
	capacity int // most bytes in live
	closed   bool
	counts   counts
	noted    int64    // the part of counts.full that take has returned
	_        [64]byte // puts the next stripe's lock on another cache line
}

// counts are numbers of clicks since the start of the process, except pending.
type counts struct {
	recorded int64 // all clicks
	full     int64 // dropped because the memory was full
	late     int64 // dropped because the recorder was closed
	pending  int64 // not classified yet
}

// table has one row for equal clicks.
type table struct {
	records []byte
	rows    []row
	index   map[uint64]int32 // row numbers by the hash of the record
}

type row struct {
	begin, end int32 // of the record in records
	clicks     int64
	last       int64 // Unix microseconds
}

// rowSize is how many bytes of memory a row and its place in the index take.
const rowSize = 64

// size returns how many bytes of memory t needs.
func (t *table) size() int { return len(t.records) + rowSize*len(t.rows) }

// record counts the click of a record with a hash and a time in Unix microseconds, or drops it if
// the stripe is closed. If there is no room, it drops the click only if this is the last stripe to
// try. done is false if another stripe must be tried. halfFull is true if the stripe is half full
// because of this click. The caller must hold the lock.
func (s *stripe) record(record []byte, hash uint64, at int64, last bool) (done, halfFull bool) {
	if s.closed {
		s.counts.recorded++
		s.counts.late++
		return true, false
	}
	before := s.live.size()
	switch {
	case s.live.addAgain(record, hash, at):
		s.counts.pending++
	case before+len(record)+rowSize <= s.capacity:
		s.live.add(record, hash, at)
		s.counts.pending++
		halfFull = before < s.capacity/2 && s.live.size() >= s.capacity/2
	case last:
		s.counts.full++
	default:
		return false, false
	}
	s.counts.recorded++
	return true, halfFull
}

// addAgain counts a click if there is an equal one.
func (t *table) addAgain(record []byte, hash uint64, at int64) bool {
	i, known := t.index[hash]
	if !known {
		return false
	}
	r := &t.rows[i]
	if !bytes.Equal(t.records[r.begin:r.end], record) {
		return false
	}
	r.clicks++
	r.last = max(r.last, at)
	return true
}

// add adds a row for a click. If another record has the same hash, new clicks are compared with
// the new row.
func (t *table) add(record []byte, hash uint64, at int64) {
	begin := len(t.records)
	t.records = append(t.records, record...)
	t.index[hash] = int32(len(t.rows))                                                                 //nolint:gosec // below the capacity
	t.rows = append(t.rows, row{begin: int32(begin), end: int32(len(t.records)), clicks: 1, last: at}) //nolint:gosec // below the capacity
}

// take swaps the clicks of the stripe with an empty table, and returns how many clicks it dropped
// since the last take because the memory was full.
func (s *stripe) take(empty *table) (full int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live, *empty = *empty, s.live
	s.counts.pending = 0
	full, s.noted = s.counts.full-s.noted, s.counts.full
	return full
}

// keptTable is how many bytes of records an empty table keeps, even if it needed fewer.
const keptTable = 16 << 10

// empty removes all clicks, and overwrites them. It frees memory that the table did not need.
func (t *table) empty() {
	clear(t.records)
	if cap(t.records) > max(keptTable, 4*len(t.records)) {
		*t = table{index: map[uint64]int32{}}
		return
	}
	clear(t.index)
	t.records, t.rows = t.records[:0], t.rows[:0]
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
