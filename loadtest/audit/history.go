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
	target       string // of this attempt alone
	version      int64  // that it makes, if it is done
	acknowledged time.Time
	refused      bool // certain not to have been done; neither this nor acknowledged: nobody knows
}

func (w *attempt) known() bool { return !w.acknowledged.IsZero() }

// history is all that was sent about one link, one attempt after the other.
type history struct {
	attempts []*attempt
	asked    map[Node]bool // nodes that may keep something of the link
}

// newest returns the version that is acknowledged; 0 when none is.
func (h *history) newest() (version int64) {
	for _, w := range h.attempts {
		if w.known() {
			version = max(version, w.version)
		}
	}
	return version
}

// least returns the oldest version that a node, which may keep what it knows for a
// while, may show to who asked it at a moment; 0 when it need not know the link
// yet.
func (h *history) least(node Node, at time.Time, kept time.Duration) (version int64) {
	_, many := node.(Balancer)
	for _, w := range h.attempts {
		late := SeenWithin
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

// fits reports whether a link may have a target and a version, of which 0 stands
// for one that is not told.
func (h *history) fits(target string, version int64) (*attempt, bool) {
	i := slices.IndexFunc(h.attempts, func(w *attempt) bool { return w.target == target })
	if i < 0 {
		return nil, false
	}
	w := h.attempts[i]
	lost := slices.ContainsFunc(h.attempts, func(o *attempt) bool { return o.known() && o != w && o.version == w.version })
	return w, !w.refused && !lost && (version == 0 || version == w.version)
}

// log writes an attempt to the history of a link. A code has one create.
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

// told returns a history for people.
func (a *Auditor) told(h *history) string {
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
