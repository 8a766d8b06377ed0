package postgres

import (
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// written remembers the links that this process edited of late, or heard that
// others did, so that it reads them only from servers that have the edit. Creates need no memory: no replica
// is believed that a link does not exist. Safe for concurrent use.
type written struct {
	now func() time.Time

	mu    sync.RWMutex
	codes map[string]mark
}

// mark is what is remembered of one code.
type mark struct {
	underWay int       // writes that have no outcome yet
	at       time.Time // when the latest was acknowledged
	version  int64     // the highest that was acknowledged; 0 when none was
}

func newWritten(now func() time.Time) *written {
	return &written{now: now, codes: map[string]mark{}}
}

// begin notes that code is about to be written. done must be called once the
// outcome is known: with the link as it was left, or the error.
func (w *written) begin(code string) (done func(l *store.Link, err error)) {
	w.mu.Lock()
	m := w.codes[code]
	m.underWay++
	w.codes[code] = m
	w.mu.Unlock()
	return func(l *store.Link, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		m := w.codes[code]
		m.underWay--
		if err == nil && l != nil {
			m.at, m.version = w.now(), max(m.version, l.Version)
		}
		if m.underWay == 0 && m.version == 0 { // nobody was promised anything
			delete(w.codes, code)
			return
		}
		w.codes[code] = m
	}
}

// note notes an edit that another process has done.
func (w *written) note(code string, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.codes[code]
	m.at, m.version = w.now(), max(m.version, version)
	w.codes[code] = m
}

// get returns the mark of a code, nil when there is none.
func (w *written) get(code string) *mark {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if m, ok := w.codes[code]; ok {
		return &m
	}
	return nil
}

// forget drops the marks of writes that were acknowledged before a moment.
func (w *written) forget(before time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for code, m := range w.codes {
		if m.underWay == 0 && m.at.Before(before) {
			delete(w.codes, code)
		}
	}
}

// coveredBy reports whether all that was written before m was taken is seen by a
// server that shows everything acknowledged before covers.
func (m *mark) coveredBy(covers time.Time) bool {
	return m == nil || m.underWay == 0 && m.at.Before(covers)
}

// shows reports whether a link, from a server of unknown age, is no older than
// the acknowledged writes of this process.
func (m *mark) shows(l *store.Link) bool {
	return m == nil || l.Version >= m.version
}
