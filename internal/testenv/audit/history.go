package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// attempt is one create or edit that was sent.
type attempt struct {
	node         Node
	target       string // unique to this attempt
	version      int64  // of the link after this attempt
	acknowledged time.Time
	refused      bool // certainly not done; neither refused nor acknowledged: unknown
}

func (w *attempt) known() bool { return !w.acknowledged.IsZero() }

// history is all attempts to write one link, in order.
type history struct {
	attempts []*attempt
	asked    map[Node]bool // nodes that may have a cached copy of the link
}

// newest returns the newest acknowledged version, or 0.
func (h *history) newest() (version int64) {
	for _, w := range h.attempts {
		if w.known() {
			version = max(version, w.version)
		}
	}
	return version
}

// least returns the oldest version that a node may show at a time. seen is how soon an edit
// is visible without a cached copy, kept is how long nodes may show old copies. It returns 0
// if the node need not know the link yet.
func (h *history) least(node Node, at time.Time, seen, kept time.Duration) (version int64) {
	_, many := node.(Balancer)
	for _, w := range h.attempts {
		late := seen
		switch {
		case w.version == 1, w.node == node && !many:
			late = 0
		case h.asked[node], many:
			late += kept
		}
		if w.known() && w.acknowledged.Add(late).Before(at) {
			version = max(version, w.version)
		}
	}
	return version
}

// fits returns the attempt with this target. It reports whether the link may have this
// target and version now; version 0 means that the version is not known.
func (h *history) fits(target string, version int64) (*attempt, bool) {
	i := slices.IndexFunc(h.attempts, func(w *attempt) bool { return w.target == target })
	if i < 0 {
		return nil, false
	}
	w := h.attempts[i]
	lost := slices.ContainsFunc(h.attempts, func(o *attempt) bool { return o.known() && o != w && o.version == w.version })
	return w, !w.refused && !lost && (version == 0 || version == w.version)
}

// log adds an attempt to the history of a link. A code may be created only once.
func (a *Auditor) log(code string, w *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.links[code]
	if h == nil {
		h = &history{asked: map[Node]bool{}}
		a.links[code] = h
	} else if w.version == 1 {
		a.faults = append(a.faults, fmt.Sprintf("code %s was given twice", code))
	}
	h.asked[w.node] = true
	h.attempts = append(h.attempts, w)
}

// describe formats a history.
func (a *Auditor) describe(h *history) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, w := range h.attempts {
		state := "unknown"
		switch {
		case w.known():
			state = "acknowledged at " + w.acknowledged.Format("05.000")
		case w.refused:
			state = "refused"
		}
		fmt.Fprintf(&b, "[%d %s through %s %s]", w.version, w.target, w.node.URL(), state)
	}
	return b.String()
}
