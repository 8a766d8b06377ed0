package remote

import (
	"sync"
	"time"

	"github.com/terse/terse/store"
)

const (
	// recentFor is how long edits are remembered: longer than a failover takes. A
	// replica that is promoted may lack what the master had acknowledged.
	recentFor = time.Minute

	// mostRecent bounds how many are.
	mostRecent = 4096
)

// recent is the latest edits that Redis was told of, oldest first. Safe for
// concurrent use.
type recent struct {
	mu   sync.Mutex
	told []toldEdit
}

type toldEdit struct {
	at   time.Time
	link store.Link
}

// add remembers an edit that was told at a moment.
func (r *recent) add(now time.Time, l store.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	r.told = append(r.told, toldEdit{now, l})
	if n := len(r.told); n > mostRecent {
		r.told = r.told[n-mostRecent:]
	}
}

// all returns what is remembered.
func (r *recent) all(now time.Time) []store.Edit {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	edits := make([]store.Edit, len(r.told))
	for i := range r.told {
		edits[i].Link = r.told[i].link
	}
	return edits
}

func (r *recent) forget(now time.Time) {
	for len(r.told) > 0 && now.Sub(r.told[0].at) > recentFor {
		r.told = r.told[1:]
	}
}
