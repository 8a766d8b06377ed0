package overload

import "sync/atomic"

// share is the part of the latest of many things that were so, from 0 to 1. At first none
// was. Safe for concurrent use.
type share struct{ parts atomic.Int64 } // of whole

const (
	whole = 1 << 20

	// inertia is how many things a share forgets slowly: two thirds of it are about the
	// latest that many.
	inertia = 64
)

// note adds one thing. One of two that come at once may be lost.
func (s *share) note(so bool) {
	old, to := s.parts.Load(), int64(0)
	if so {
		to = whole
	}
	s.parts.CompareAndSwap(old, old+(to-old)/inertia)
}

func (s *share) value() float64 { return float64(s.parts.Load()) / whole }
