package keyring

import (
	"cmp"
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
	DefaultStaleFor    = 15 * time.Minute // must be set by callers: the zero StaleFor means never
	DefaultUseEvery    = time.Minute
	DefaultMaxKeys     = 1 << 14
)

// MaxTTL is the longest TTL. A process that misses a revocation accepts the revoked key
// for this long.
const MaxTTL = 10 * time.Second

// Options configure a Ring.
type Options struct {
	Keys       store.Keys            // required: the store of keys
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	TTL         time.Duration // how long a key is used after it was read; default and maximum MaxTTL
	NegativeTTL time.Duration // the same for "no such key"; default DefaultNegativeTTL, maximum MaxTTL
	LoadTimeout time.Duration // of one call to Keys; default DefaultLoadTimeout
	StaleFor    time.Duration // how long after it was read a key is used while Keys is unreachable; 0 means never
	UseEvery    time.Duration // between two records of uses, ±10 %; default DefaultUseEvery
	MaxKeys     int           // most keys in memory, and most unknown digests, about 500 bytes each; default DefaultMaxKeys

	Now func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	o.TTL = cmp.Or(o.TTL, DefaultTTL)
	o.NegativeTTL = cmp.Or(o.NegativeTTL, DefaultNegativeTTL)
	o.LoadTimeout = cmp.Or(o.LoadTimeout, DefaultLoadTimeout)
	o.UseEvery = cmp.Or(o.UseEvery, DefaultUseEvery)
	o.MaxKeys = cmp.Or(o.MaxKeys, DefaultMaxKeys)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("keyring: Options."+problem))
		}
	}
	check(o.Keys != nil, "Keys is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.TTL > 0 && o.TTL <= MaxTTL, fmt.Sprintf("TTL must be positive and at most %v", MaxTTL))
	check(o.NegativeTTL > 0 && o.NegativeTTL <= MaxTTL, fmt.Sprintf("NegativeTTL must be positive and at most %v", MaxTTL))
	check(o.LoadTimeout > 0, "LoadTimeout must be positive")
	check(o.StaleFor == 0 || o.StaleFor >= o.TTL, "StaleFor must be 0 or at least TTL")
	check(o.UseEvery > 0, "UseEvery must be positive")
	check(o.MaxKeys > 0, "MaxKeys must be positive")
	return errors.Join(errs...)
}
