package postgres

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/prometheus/client_golang/prometheus"
)

// The limits for retries of calls that certainly changed nothing. They allow enough time to
// find a new primary. Callers must not queue up for long while no primary exists.
const (
	attempts   = 4
	firstDelay = 20 * time.Millisecond
	longestGap = 300 * time.Millisecond
	retryFor   = time.Second
)

// After breakAfter failures in a row, a server is not asked for breakDelay. Then one call is
// tried.
const (
	breakAfter = 3
	breakDelay = 500 * time.Millisecond
)

// jitter is the random fraction of delays, so that nodes do not retry at the same moment.
const jitter = 0.3

// line makes the calls of one role to one server. Each role has its own breaker, so that
// failing lists do not stop redirects.
type line struct {
	breaker circuitbreaker.CircuitBreaker[any]
	calls   failsafe.Executor[any] // retries, each attempt through the breaker
	took    prometheus.Observer
}

// accepts reports whether the breaker lets a call through now.
func (l *line) accepts() bool {
	return l.breaker.IsClosed() || l.breaker.IsOpen() && l.breaker.RemainingDelay() <= 0
}

// run runs fn with retries, each attempt through the breaker. A panic of fn counts as a
// failure, or a half-open breaker would wait for its result forever.
func (l *line) run(ctx context.Context, fn func() error) error {
	return l.calls.WithContext(ctx).Run(func() error {
		returned := false
		defer func() {
			if !returned {
				l.breaker.RecordFailure()
			}
		}()
		err := fn()
		returned = true
		return err
	})
}

// newLine returns a line. It sets the gauge open to 1 while the breaker is open, and counts
// retries.
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
