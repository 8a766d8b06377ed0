package idgen

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configures a Minter.
type Options struct {
	// Leaser leases the node id. Required.
	Leaser Leaser

	// TTL is the time after which a lease expires unless it is renewed. A call to the
	// Leaser may take a third of it. Default 30 s.
	TTL time.Duration

	// RenewEvery is the age at which a lease is renewed. Default TTL/3.
	RenewEvery time.Duration

	// Margin is how long before the end of its lease a Minter stops minting. It covers
	// clocks of different speed. RenewEvery plus Margin must be below TTL. Default
	// TTL/6.
	Margin time.Duration

	// Now is the clock of the Minter's timestamps and lease ages. Default time.Now.
	Now func() time.Time

	// Logger receives lost, failed and recovered leases. Default: no log.
	Logger *slog.Logger

	// Registerer receives the metrics terse_idgen_*. Default: no metrics.
	Registerer prometheus.Registerer
}

// withDefaults returns o with its zero fields set to their defaults.
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

// validate returns an error that joins every problem of o. Call withDefaults first.
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

// life is the age at which a Minter stops to use a lease.
func (o Options) life() time.Duration { return o.TTL - o.Margin }

// callTimeout is the timeout of one call to the Leaser.
func (o Options) callTimeout() time.Duration { return o.TTL / 3 }
