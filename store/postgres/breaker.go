package postgres

import (
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/prometheus/client_golang/prometheus"
)

// How often what was certainly not done is tried again: for about as long as it
// takes to find another primary that is there, and not so long that callers
// queue up behind one that is not.
const (
	attempts   = 4
	firstDelay = 20 * time.Millisecond
	longestGap = 300 * time.Millisecond
	retryFor   = time.Second
)

// A server that failed so often in a row is left alone for breakDelay, and then
// asked once.
const (
	breakAfter = 3
	breakDelay = 500 * time.Millisecond
)

// jitter is the part by which delays vary, so that nodes do not act in step.
const jitter = 0.3

// line is the way to a server for one role. Each has a breaker of its own: lists
// that wait for a connection in vain must not keep redirects from theirs.
type line struct {
	breaker circuitbreaker.CircuitBreaker[any]
	calls   failsafe.Executor[any] // retries behind the breaker
	took    prometheus.Observer
}

// accepts reports whether the breaker lets a call through now, or would let one try.
func (l *line) accepts() bool {
	return l.breaker.IsClosed() || l.breaker.IsOpen() && l.breaker.RemainingDelay() <= 0
}

// newLine returns a line that shows in open whether its breaker is, and counts
// its retries.
func newLine(open prometheus.Gauge, retried prometheus.Counter) line {
	breaker := circuitbreaker.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return outage(err) }).
		WithFailureThreshold(breakAfter).WithSuccessThreshold(1).
		WithDelay(breakDelay).WithJitterFactor(jitter).
		OnOpen(func(circuitbreaker.StateChangedEvent) { open.Set(1) }).
		OnClose(func(circuitbreaker.StateChangedEvent) { open.Set(0) }).
		Build()
	retries := retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return repeatable(err) }).
		WithMaxAttempts(attempts).WithMaxDuration(retryFor).
		WithBackoff(firstDelay, longestGap).WithJitterFactor(jitter).
		ReturnLastFailure().
		OnRetry(func(failsafe.ExecutionEvent[any]) { retried.Inc() }).
		Build()
	return line{breaker: breaker, calls: failsafe.With[any](retries, breaker)}
}
