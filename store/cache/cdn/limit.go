package cdn

import (
	"sync"

	"golang.org/x/time/rate"
)

// limiter allows this process its part of the provider's limit. Safe for concurrent use.
type limiter struct {
	rate  rate.Limit // of all processes together
	burst int        // of all processes together
	nodes func() int // how many processes there are; nil: one

	mu      sync.Mutex
	divisor int // how many processes the limit is divided by
	limiter *rate.Limiter
}

func newLimiter(o *Options) *limiter {
	l := &limiter{rate: rate.Limit(o.Rate), burst: o.Burst, nodes: o.Nodes, divisor: 1}
	l.limiter = rate.NewLimiter(l.rate, l.burst)
	return l
}

// allow reports whether a request may be sent now.
func (l *limiter) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nodes != nil {
		l.divide(max(1, l.nodes()))
	}
	return l.limiter.Allow()
}

// divide sets the limit to one n-th of the total.
func (l *limiter) divide(n int) {
	if n == l.divisor {
		return
	}
	l.divisor = n
	l.limiter.SetLimit(l.rate / rate.Limit(n))
	l.limiter.SetBurst(max(1, l.burst/n))
}
