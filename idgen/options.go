package idgen

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Minter.
type Options struct {
	Leaser     Leaser                // required: leases the node id
	Registerer prometheus.Registerer // default: no metrics
	Logger     *slog.Logger          // receives lost, failed and recovered leases; default: no log

	TTL        time.Duration // until a lease expires unless it is renewed; a call to the Leaser may take a third of it; default 30 s
	RenewEvery time.Duration // a lease is renewed at this age; default TTL/3

	// Margin is how long before the end of its lease a Minter stops minting. It covers
	// clocks of different speed. RenewEvery plus Margin must be below TTL. Default
	// TTL/6.
	Margin time.Duration

	Now func() time.Time // clock of the Minter's timestamps and lease ages; default time.Now
}

func (o Options) withDefaults() Options {
	o.Registerer = cmp.Or[prometheus.Registerer](o.Registerer, prometheus.NewRegistry())
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.TTL = cmp.Or(o.TTL, 30*time.Second)
	o.RenewEvery = cmp.Or(o.RenewEvery, o.TTL/3)
	o.Margin = cmp.Or(o.Margin, o.TTL/6)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("idgen: Options."+problem))
		}
	}
	check(o.Leaser != nil, "Leaser is required")
	check(o.TTL > 0, "TTL must be positive")
	check(o.RenewEvery > 0, "RenewEvery must be positive")
	check(o.Margin > 0, "Margin must be positive")
	check(o.RenewEvery+o.Margin < o.TTL, fmt.Sprintf("RenewEvery %v and Margin %v together must be below TTL %v", o.RenewEvery, o.Margin, o.TTL))
	return errors.Join(errs...)
}

// life is the age at which a Minter stops to use a lease.
func (o *Options) life() time.Duration { return o.TTL - o.Margin }

// callTimeout is the timeout of one call to the Leaser.
func (o *Options) callTimeout() time.Duration { return o.TTL / 3 }
