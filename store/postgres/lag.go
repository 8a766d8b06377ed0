package postgres

import (
	"slices"
	"sync"
	"time"
)

// position is a position in the write-ahead log, in bytes from its start.
type position int64

// sample is the position that the primary had flushed. Everything acknowledged before asked is
// before that position.
type sample struct {
	asked time.Time
	at    position
}

// keepSamples is how many samples are kept: enough to measure the lag of any replica that
// may still be read.
const keepSamples = 64

// history is the latest samples of the primary, oldest first. Safe for concurrent use.
type history struct {
	mu       sync.Mutex
	samples  []sample
	doubtful time.Time // another server may have become the primary until then
}

// add adds the newest sample. A lower position than before comes from another primary, so
// add drops the earlier samples.
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

// doubt records that the primary was unreachable until now and may be another server.
func (h *history) doubt(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubtful = now
}

// trusts reports whether a replica follows the current primary. compared is when the
// replica was last found not to be ahead of the primary.
func (h *history) trusts(compared time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doubtful.IsZero() || compared.After(h.doubtful)
}

// covers returns the latest time t with this property: a server that has replayed the log
// up to at shows everything acknowledged before t. It is zero if no sample shows such a
// time.
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

// last returns the newest sample, and false if there is no sample.
func (h *history) last() (sample, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) == 0 {
		return sample{}, false
	}
	return h.samples[len(h.samples)-1], true
}
