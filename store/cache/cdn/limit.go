package cdn

import (
	"sync"

	"golang.org/x/time/rate"
)

// limiter is this process's part of what the provider takes. Safe for concurrent use.
type limiter struct {
	rate  rate.Limit // of all processes
	burst int        // the same
	nodes func() int

	mu      sync.Mutex
	among   int // how many processes the limit is divided among
	limiter *rate.Limiter
}

func newLimiter(o *Options) *limiter {
	l := &limiter{rate: rate.Limit(o.Rate), burst: o.Burst, nodes: o.Nodes, among: 1}
	l.limiter = rate.NewLimiter(l.rate, l.burst)
	return l
}

// allow reports whether a request may be made now.
func (l *limiter) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nodes != nil {
		l.divide(max(1, l.nodes()))
	}
	return l.limiter.Allow()
}

// divide makes the limit the part of one of n processes.
func (l *limiter) divide(n int) {
	if n == l.among {
		return
	}
	l.among = n
	l.limiter.SetLimit(l.rate / rate.Limit(n))
	l.limiter.SetBurst(max(1, l.burst/n))
}
