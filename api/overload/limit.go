package overload

import (
	"sync"
	"sync/atomic"
	"time"
)

// Bounds are those between which the limit of a class moves, and where it begins.
type Bounds struct {
	Least, Most, First int

	// Goal is the time that work may take without being slow. Work that takes
	// longer even when there is little of it may take slowdown times that.
	Goal time.Duration
}

// How a limit moves, each time that window is over and enough work has ended in it:
// down by a fifth when that was slow, up by a twentieth when it was not. So it falls to
// a tenth in about a second, and is back within five.
const (
	window   = 100 * time.Millisecond
	enough   = 10
	slowdown = 4
)

// limit is how much work of a class may go on at once. It is steered by the mean time
// that this takes, as additive increase and multiplicative decrease, and stays where
// about as much goes on as can be done within Goal. It does not go by how that time
// grows with concurrency: calls travel to the database together, so that many of them
// take several times as long as one and are still the best use of it. Safe for
// concurrent use.
type limit struct {
	bounds   Bounds
	inflight atomic.Int64
	most     atomic.Int64

	mu    sync.Mutex
	since time.Time // begin of the window
	took  time.Duration
	ended int
	peak  int64         // of inflight
	usual time.Duration // what work takes when there is little of it; 0 when not known
}

func newLimit(b Bounds) *limit {
	l := &limit{bounds: b}
	l.most.Store(int64(b.First))
	return l
}

// take takes a place, if there is one among so many times the limit.
func (l *limit) take(times int64) bool {
	if l.inflight.Add(1) <= times*l.most.Load() {
		return true
	}
	l.inflight.Add(-1)
	return false
}

// uses reports whether so many quarters of the places are taken, or claimed.
func (l *limit) uses(quarters, claimed int64) bool {
	return 4*(l.inflight.Load()+claimed) >= quarters*l.most.Load()
}

// give gives a place back at now. took is how long it was used, 0 when that says
// nothing.
func (l *limit) give(now time.Time, took time.Duration) {
	used := l.inflight.Add(-1) + 1
	if took <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peak = max(l.peak, used)
	l.took += took
	l.ended++
	if l.ended >= enough && now.Sub(l.since) >= window {
		l.adjust()
		l.since, l.took, l.ended, l.peak = now, 0, 0, 0
	}
}

// adjust moves the limit by what the window has shown.
func (l *limit) adjust() {
	mean, most, b := l.took/time.Duration(l.ended), l.most.Load(), l.bounds
	if l.usual == 0 || mean < l.usual {
		l.usual = mean
	}
	slow := mean > max(b.Goal, slowdown*l.usual)
	l.usual += l.usual / 1000 // forgets within minutes what is no longer so
	switch {
	case slow:
		most = min(most, l.peak) * 4 / 5
	case 2*l.peak > most, most < int64(b.First):
		most += most/20 + 1
	}
	l.most.Store(min(max(most, int64(b.Least)), int64(b.Most)))
}
