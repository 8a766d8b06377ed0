package remote

import (
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
)

// After breakAfter failed round trips in a row, Redis is not asked for breakDelay. Then one
// round trip is tried.
const (
	breakAfter = 3
	breakDelay = 500 * time.Millisecond
)

type breaker = circuitbreaker.CircuitBreaker[any]

// newBreaker returns a breaker that sets the gauge open to 1 while it is open.
func newBreaker(open prometheus.Gauge) breaker {
	return circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(breakAfter).WithSuccessThreshold(1).
		WithDelay(breakDelay).WithJitterFactor(0.3).
		OnOpen(func(circuitbreaker.StateChangedEvent) { open.Set(1) }).
		OnClose(func(circuitbreaker.StateChangedEvent) { open.Set(0) }).
		Build()
}
