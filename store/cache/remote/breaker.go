package remote

import (
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
)

// A Redis that failed so many round trips in a row is left alone for breakDelay,
// and then asked once.
const (
	breakAfter = 3
	breakDelay = 500 * time.Millisecond
)

type breaker = circuitbreaker.CircuitBreaker[any]

// newBreaker returns a breaker that shows in open whether it is.
func newBreaker(open prometheus.Gauge) breaker {
	return circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(breakAfter).WithSuccessThreshold(1).
		WithDelay(breakDelay).WithJitterFactor(0.3).
		OnOpen(func(circuitbreaker.StateChangedEvent) { open.Set(1) }).
		OnClose(func(circuitbreaker.StateChangedEvent) { open.Set(0) }).
		Build()
}
