package postgres

import (
	"slices"
	"sync"
	"time"
)

// position is a place in the write-ahead log, in bytes from its beginning.
type position int64

// sample is what the primary had flushed when it was asked at some moment. All
// that was acknowledged before that moment lies before it.
type sample struct {
	asked time.Time
	at    position
}

// keepSamples is how many samples are kept: enough to tell how far behind a
// replica is that may still be used.
const keepSamples = 64

// history is the latest samples of the primary, oldest first. Safe for
// concurrent use.
type history struct {
	mu       sync.Mutex
	samples  []sample
	doubtful time.Time // until when another primary may have taken the place of the one before
}

// add adds the newest sample. One that is behind the others tells of another
// primary, about which they tell nothing.
func (h *history) add(s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.samples); n > 0 && s.at < h.samples[n-1].at {
		h.samples = h.samples[:0]
		h.doubtful = s.asked
	}
	if len(h.samples) == keepSamples {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, s)
}

// doubt notes that the primary was away until now, and may be another one.
func (h *history) doubt(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubtful = now
}

// trusts reports whether a replica that was last found not to be ahead of the
// primary at a moment is known to follow this one.
func (h *history) trusts(compared time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doubtful.IsZero() || compared.After(h.doubtful)
}

// covers returns the latest moment before which everything acknowledged is shown
// by a server that has replayed up to at. It is zero when that is not known.
func (h *history) covers(at position) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range slices.Backward(h.samples) {
		if s.at <= at {
			return s.asked
		}
	}
	return time.Time{}
}

// last returns the newest sample, and false when there is none.
func (h *history) last() (sample, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) == 0 {
		return sample{}, false
	}
	return h.samples[len(h.samples)-1], true
}
