// Package missed remembers when a process did not know the newest content of a database, so that
// it can check later what it has decided in such a period.
package missed

import (
	"sync"
	"time"
)

// promptly is how old a change may be when a process reads it. Scans of all links begin later
// than that, so they check what the process has decided before.
const promptly = 5 * time.Second

// maxPeriods limits the remembered periods. The oldest ones are then merged.
const maxPeriods = 64

// Periods are the periods without the newest content. The zero value is ready to use. Safe for
// concurrent use.
type Periods struct {
	mu      sync.Mutex
	latest  int // number of the latest period
	periods []period
}

// period is a period that has ended.
type period struct {
	number int // counts from 1
	since  time.Time
}

// Changed records that the process has just read a changed content. The previous successful read was
// at since. If that was not long ago, Changed records nothing. late is true if there was no such read,
// and an earlier read has failed; since is then the start of the process.
func (m *Periods) Changed(since, now time.Time, late bool) {
	if !late && now.Sub(since) <= promptly {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest++
	m.periods = append(m.periods, period{m.latest, since})
	if len(m.periods) > maxPeriods {
		if oldest := m.periods[0].since; oldest.Before(m.periods[1].since) {
			m.periods[1].since = oldest
		}
		m.periods = m.periods[1:]
	}
}

// After returns the start of the earliest period after the given number. latest is the number of the
// latest period. If it equals the given number, there are no new periods, and since is the zero
// time. Numbers begin at 1.
func (m *Periods) After(number int) (since time.Time, latest int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.periods {
		if p.number > number && (since.IsZero() || p.since.Before(since)) {
			since = p.since
		}
	}
	return since, m.latest
}
