package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-redis/redis_rate/v10"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// DefaultTimeout is that of SharedOptions.
const DefaultTimeout = 50 * time.Millisecond

// A Redis that failed so often in a row is left alone for restDelay, and then
// asked once.
const (
	restAfter = 3
	restDelay = 500 * time.Millisecond
)

// SharedOptions configure a Shared.
type SharedOptions struct {
	Client     redis.UniversalClient // required: where permits are counted
	Local      *Local                // required: limits while that is away
	Nodes      func() int            // required: how many processes count there
	Registerer prometheus.Registerer // required

	Timeout time.Duration // of one question; default DefaultTimeout
}

func (o *SharedOptions) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("ratelimit: "+problem))
		}
	}
	check(o.Client != nil, "Client is required")
	check(o.Local != nil, "Local is required")
	check(o.Nodes != nil, "Nodes is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Timeout > 0, "Timeout must be positive")
	return errors.Join(errs...)
}

// Shared limits all processes together that share a Redis, by GCRA and the clock of
// Redis. While that cannot be asked, each process limits by itself, to its share of
// the limit. It is safe for concurrent use.
type Shared struct {
	opts    SharedOptions
	limiter *redis_rate.Limiter
	breaker circuitbreaker.CircuitBreaker[any]

	shared, local prometheus.Counter
}

// NewShared returns a limiter, or every problem of opts.
func NewShared(opts SharedOptions) (*Shared, error) {
	if opts.Timeout == 0 {
		opts.Timeout = DefaultTimeout
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	counted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_ratelimit_takes_total",
		Help: "Questions for permits, by where they were counted: in Redis (shared), or in this process because Redis was away (local).",
	}, []string{"counted"})
	if err := opts.Registerer.Register(counted); err != nil {
		return nil, fmt.Errorf("ratelimit: register metrics: %w", err)
	}
	return &Shared{
		opts: opts, limiter: redis_rate.NewLimiter(opts.Client),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureThreshold(restAfter).WithSuccessThreshold(1).WithDelay(restDelay).Build(),
		shared: counted.WithLabelValues("shared"), local: counted.WithLabelValues("local"),
	}, nil
}

// Take takes up to n permits of the key, as many as there are. With n = 0 it only
// looks. It waits for Redis no longer than Timeout, and never fails because of it.
func (s *Shared) Take(ctx context.Context, key string, limit Limit, n int) (Result, error) {
	if limit.Off() || limit.validate() != nil || n < 0 {
		return s.opts.Local.Take(ctx, key, limit, n)
	}
	if s.breaker.TryAcquirePermit() {
		r, err := s.ask(ctx, key, limit, n)
		if err == nil {
			s.breaker.RecordSuccess()
			s.shared.Inc()
			return r, nil
		}
		s.breaker.RecordFailure()
	}
	s.local.Inc()
	return s.opts.Local.Take(ctx, key, s.share(limit), n)
}

// ask counts in Redis, also when the caller leaves: what it asked for is done.
func (s *Shared) ask(ctx context.Context, key string, limit Limit, n int) (Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
	defer cancel()
	got, err := s.limiter.AllowAtMost(ctx, "terse:"+key, redis_rate.Limit{Rate: limit.Count, Burst: limit.Count, Period: limit.Window}, n)
	if err != nil {
		return Result{}, err
	}
	r := Result{Allowed: got.Allowed, Remaining: got.Remaining, ResetAfter: roundUp(got.ResetAfter)}
	switch {
	case got.RetryAfter > 0:
		r.RetryAfter = roundUp(got.RetryAfter)
	case got.Allowed < n: // it took what there was
		r.RetryAfter = roundUp(limit.Window / time.Duration(limit.Count))
	}
	return r, nil
}

// share returns what of a limit is this process's.
func (s *Shared) share(limit Limit) Limit {
	return Limit{Count: max(1, limit.Count/max(1, s.opts.Nodes())), Window: limit.Window}
}
