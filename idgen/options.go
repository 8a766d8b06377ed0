package idgen

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Minter.
type Options struct {
	// Leaser leases the node id. Required.
	Leaser Leaser

	// TTL is how long a lease lasts without being renewed. One call to the
	// Leaser is given a third of it. Default 30 s.
	TTL time.Duration

	// RenewEvery is the age at which a lease is renewed. Default TTL/3.
	RenewEvery time.Duration

	// Margin is how long before the end of its lease a Minter stops. It covers
	// clocks that run at different rates. RenewEvery and Margin together must be
	// below TTL. Default TTL/6.
	Margin time.Duration

	// Now is the clock that leases are measured by and timestamps follow.
	// Default time.Now.
	Now func() time.Time

	// Logger is told of leases that are lost, and held again. Default none.
	Logger *slog.Logger

	// Registerer receives the metrics terse_idgen_*. Default none.
	Registerer prometheus.Registerer
}

// withDefaults returns o with every default filled in.
func (o Options) withDefaults() Options {
	if o.TTL == 0 {
		o.TTL = 30 * time.Second
	}
	if o.RenewEvery == 0 {
		o.RenewEvery = o.TTL / 3
	}
	if o.Margin == 0 {
		o.Margin = o.TTL / 6
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate returns everything that is wrong with o, once it has its defaults.
func (o Options) validate() error {
	var errs []error
	if o.Leaser == nil {
		errs = append(errs, errors.New("Leaser is required"))
	}
	if o.TTL <= 0 || o.RenewEvery <= 0 || o.Margin <= 0 {
		errs = append(errs, fmt.Errorf("TTL %v, RenewEvery %v and Margin %v must be positive", o.TTL, o.RenewEvery, o.Margin))
	}
	if o.RenewEvery+o.Margin >= o.TTL {
		errs = append(errs, fmt.Errorf("RenewEvery %v and Margin %v together must be below TTL %v", o.RenewEvery, o.Margin, o.TTL))
	}
	return errors.Join(errs...)
}

// life is the age at which a lease is no longer minted under.
func (o Options) life() time.Duration { return o.TTL - o.Margin }

// callTimeout bounds one call to the Leaser.
func (o Options) callTimeout() time.Duration { return o.TTL / 3 }
