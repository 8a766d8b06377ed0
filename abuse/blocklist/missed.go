package blocklist

import (
	"sync"
	"time"
)

// promptly is how old a change may be when a process reads it. Scans of all links begin later
// than that, so they find the links that the process accepted before.
const promptly = 5 * time.Second

// maxPeriods limits the remembered periods. The oldest ones are then merged.
const maxPeriods = 64

// missed are the periods during which this process may have accepted links to blocked hosts,
// because it did not know that they were blocked. Safe for concurrent use.
type missed struct {
	mu      sync.Mutex
	latest  int // number of the latest period
	periods []period
}

// period is a period that has ended.
type period struct {
	number int // counts from 1
	since  time.Time
}

func (m *missed) add(since time.Time) {
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

func (m *missed) after(number int) (since time.Time, latest int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.periods {
		if p.number > number && (since.IsZero() || p.since.Before(since)) {
			since = p.since
		}
	}
	return since, m.latest
}
