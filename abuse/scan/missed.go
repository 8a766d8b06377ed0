package scan

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

// missedScan compares the links of one source that this process may have accepted without
// knowing all forbidden hosts. Each process does this itself and needs no claim: the others may
// have known the hosts, and may have compared all links already.
type missedScan struct {
	w      *Worker
	source Source
	*forbidden

	seen  int          // the latest period that was scanned
	next  int          // the latest period of the scan under way
	from  time.Time    // when the scan under way may begin
	after store.Cursor // progress of the scan under way
}

// round scans all changes since the earliest new period, once Settle has passed: then the
// creates that began before the end of the period are visible.
func (m *missedScan) round(ctx context.Context) error {
	since, latest := m.missed(m.seen)
	if latest == m.seen {
		return nil
	}
	if latest != m.next {
		m.next, m.from = latest, m.w.opts.Now().Add(m.w.opts.Settle)
		m.after = store.Cursor{CreatedAt: since.Add(-m.w.opts.Late)}
	}
	if m.w.opts.Now().Before(m.from) {
		return nil
	}
	for ctx.Err() == nil {
		changes, took, err := m.read(ctx)
		if err != nil {
			return err
		}
		for i := range changes {
			if err := m.w.compare(ctx, &changes[i].Link, m.forbidden); err != nil {
				return err
			}
		}
		m.w.metrics.scanned.WithLabelValues(m.name, m.source.Name).Add(float64(len(changes)))
		if len(changes) < pageLen {
			m.seen = m.next
			return nil
		}
		m.after = changes[len(changes)-1].Place()
		pause(ctx, took)
	}
	return ctx.Err()
}

// read reads the next changes, and returns how long that took.
func (m *missedScan) read(ctx context.Context) (changes []store.Change, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	began := time.Now()
	changes, err = m.source.Links.Changes(ctx, m.after, pageLen)
	return changes, time.Since(began), err
}
