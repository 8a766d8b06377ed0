package keyring

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultTTL         = MaxTTL
	DefaultNegativeTTL = 2 * time.Second
	DefaultLoadTimeout = 2 * time.Second
	DefaultStaleFor    = 15 * time.Minute // for callers to set: the zero StaleFor means never
	DefaultUseEvery    = time.Minute
	DefaultMaxKeys     = 1 << 14
)

// MaxTTL is the longest that a key may be believed unasked: what a process that
// does not hear of its revocation goes on for.
const MaxTTL = 10 * time.Second

// Options configure a Ring.
type Options struct {
	Keys       store.Keys            // required: where keys are kept
	Logger     *slog.Logger          // required
	Registerer prometheus.Registerer // required

	TTL         time.Duration // how long a key is believed; default and most MaxTTL
	NegativeTTL time.Duration // the same for "no such key"; default DefaultNegativeTTL, most MaxTTL
	LoadTimeout time.Duration // how long one question to Keys may take; default DefaultLoadTimeout
	StaleFor    time.Duration // how long after it was read a key may stand in for Keys that cannot answer; 0 means never
	UseEvery    time.Duration // how often uses are noted, ±10 %; default DefaultUseEvery
	MaxKeys     int           // keys remembered at a time, and digests of no key, some 500 bytes each; default DefaultMaxKeys

	Now func() time.Time // default time.Now
}

func (o *Options) setDefaults() {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = DefaultNegativeTTL
	}
	if o.LoadTimeout == 0 {
		o.LoadTimeout = DefaultLoadTimeout
	}
	if o.UseEvery == 0 {
		o.UseEvery = DefaultUseEvery
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = DefaultMaxKeys
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("keyring: "+problem))
		}
	}
	check(o.Keys != nil, "Keys are required")
	check(o.Logger != nil, "Logger is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.TTL > 0 && o.TTL <= MaxTTL, fmt.Sprintf("TTL must be positive and at most %v", MaxTTL))
	check(o.NegativeTTL > 0 && o.NegativeTTL <= MaxTTL, fmt.Sprintf("NegativeTTL must be positive and at most %v", MaxTTL))
	check(o.LoadTimeout > 0, "LoadTimeout must be positive")
	check(o.StaleFor == 0 || o.StaleFor >= o.TTL, "StaleFor must be 0 or at least TTL")
	check(o.UseEvery > 0, "UseEvery must be positive")
	check(o.MaxKeys > 0, "MaxKeys must be positive")
	return errors.Join(errs...)
}
