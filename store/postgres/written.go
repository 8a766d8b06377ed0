package postgres

import (
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// written records recently edited links, so that this process reads them only from
// servers that have the edit. It records edits of this process and announced edits of
// other processes. It does not record creates, because a replica cannot answer that a
// link does not exist. Safe for concurrent use.
type written struct {
	now func() time.Time

	mu    sync.RWMutex
	codes map[string]mark
}

// mark is the recorded writes of one code.
type mark struct {
	underWay int       // running writes
	at       time.Time // when the latest write was acknowledged
	version  int64     // the highest acknowledged version; 0 if no write was acknowledged
}

func newWritten(now func() time.Time) *written {
	return &written{now: now, codes: map[string]mark{}}
}

// begin records the start of a write. The caller must call done with the result of the
// write: the link, or the error.
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
		if m.underWay == 0 && m.version == 0 { // no write was acknowledged
			delete(w.codes, code)
			return
		}
		w.codes[code] = m
	}
}

// note records an edit by another process.
func (w *written) note(code string, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.codes[code]
	m.at, m.version = w.now(), max(m.version, version)
	w.codes[code] = m
}

// get returns the mark of a code, or nil.
func (w *written) get(code string) *mark {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if m, ok := w.codes[code]; ok {
		return &m
	}
	return nil
}

// forget drops the marks of writes acknowledged before a time.
func (w *written) forget(before time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for code, m := range w.codes {
		if m.underWay == 0 && m.at.Before(before) {
			delete(w.codes, code)
		}
	}
}

// coveredBy reports whether a server shows all writes of m. The server shows everything
// acknowledged before covers.
func (m *mark) coveredBy(covers time.Time) bool {
	return m == nil || m.underWay == 0 && m.at.Before(covers)
}

// shows reports whether a link from a server of unknown age is at least as new as the
// recorded edits.
func (m *mark) shows(l *store.Link) bool {
	return m == nil || l.Version >= m.version
}
