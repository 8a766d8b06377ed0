package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-redis/redis_rate/v10"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// DefaultTimeout is the default of SharedOptions.Timeout.
const DefaultTimeout = 50 * time.Millisecond

// After restAfter failures in a row Redis is not asked for restDelay. Then one call
// probes it.
const (
	restAfter = 3
	restDelay = 500 * time.Millisecond
)

// SharedOptions configure a Shared.
type SharedOptions struct {
	Client     redis.UniversalClient // required: the Redis that counts permits
	Local      *Local                // required: limits while Redis is unreachable
	Nodes      func() int            // required: how many processes share the Redis
	Registerer prometheus.Registerer // required

	Timeout time.Duration // of one call to Redis; default DefaultTimeout
}

func (o SharedOptions) withDefaults() SharedOptions {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	return o
}

func (o *SharedOptions) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("ratelimit: SharedOptions."+problem))
		}
	}
	check(o.Client != nil, "Client is required")
	check(o.Local != nil, "Local is required")
	check(o.Nodes != nil, "Nodes is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Timeout > 0, "Timeout must be positive")
	return errors.Join(errs...)
}

// Shared limits the calls of all processes that share a Redis together, by GCRA and the
// clock of Redis. While Redis is unreachable, each process limits its own calls to its
// part of the limit. Safe for concurrent use.
type Shared struct {
	opts    SharedOptions
	limiter *redis_rate.Limiter
	breaker circuitbreaker.CircuitBreaker[any]
	metrics *metrics
}

// NewShared returns a limiter, or an error with every invalid option.
func NewShared(opts SharedOptions) (*Shared, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	return &Shared{
		opts: opts, limiter: redis_rate.NewLimiter(opts.Client),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureThreshold(restAfter).WithSuccessThreshold(1).WithDelay(restDelay).Build(),
		metrics: m,
	}, nil
}

// Take takes n permits of the key, or all if fewer are available. With n = 0 it only
// reports the state. It waits for Redis no longer than Timeout, and does not fail when
// Redis is unreachable. It returns an error only for an invalid Limit or a negative n.
func (s *Shared) Take(ctx context.Context, key string, limit Limit, n int) (Result, error) {
	if limit.Off() || limit.validate() != nil || n < 0 {
		return s.opts.Local.Take(ctx, key, limit, n)
	}
	if s.breaker.TryAcquirePermit() {
		if r, err := s.ask(ctx, key, limit, n); err == nil {
			s.metrics.shared.Inc()
			return r, nil
		}
	}
	s.metrics.local.Inc()
	return s.opts.Local.Take(ctx, key, s.nodeLimit(limit), n)
}

// ask counts in Redis, with a permit of the breaker. It continues when ctx is canceled. A
// panic counts as a failure, or a half-open breaker would wait for its result forever.
func (s *Shared) ask(ctx context.Context, key string, limit Limit, n int) (Result, error) {
	failed := true
	defer func() {
		if failed {
			s.breaker.RecordFailure()
		} else {
			s.breaker.RecordSuccess()
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
	defer cancel()
	got, err := s.limiter.AllowAtMost(ctx, "terse:"+key, redis_rate.Limit{Rate: limit.Count, Burst: limit.Count, Period: limit.Window}, n)
	if err != nil {
		return Result{}, err
	}
	failed = false
	r := Result{Allowed: got.Allowed, Remaining: got.Remaining, ResetAfter: roundUp(got.ResetAfter)}
	switch {
	case got.RetryAfter > 0:
		r.RetryAfter = roundUp(got.RetryAfter)
	case got.Allowed < n: // all available permits were taken
		r.RetryAfter = roundUp(limit.Window / time.Duration(limit.Count))
	}
	return r, nil
}

// nodeLimit returns this process's part of a limit.
func (s *Shared) nodeLimit(limit Limit) Limit {
	return Limit{Count: max(1, limit.Count/max(1, s.opts.Nodes())), Window: limit.Window}
}
