package remote

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of Options.
const (
	DefaultTTL      = 10 * time.Minute
	DefaultFreshTTL = 30 * time.Second
	DefaultTimeout  = 25 * time.Millisecond
	DefaultMaxBatch = 256
)

// patience is how long a round trip may take for which nobody waits.
const patience = time.Second

// freshFor is how long after its last write a link is kept for FreshTTL only. A failover
// may lose that write, and nobody asks the database for a link while it is kept here. It
// is longer than a standby may be out of reach before somebody promotes it.
const freshFor = time.Hour

// leaseTTL is how long a lease or marker stands: longer than a load may take.
const leaseTTL = 3 * time.Second

// Options configure a Cache.
type Options struct {
	URL        string                // required; see CheckURL
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	TTL      time.Duration // how long a link is kept, ±10 %; default DefaultTTL
	FreshTTL time.Duration // the same for one that was created or edited less than an hour ago; default DefaultFreshTTL
	Timeout  time.Duration // of one round trip, but of Tell's. A call may wait for another one's first. Default DefaultTimeout
	MaxBatch int           // most calls that share a round trip; default DefaultMaxBatch

	Keys Keys // told of revoked API keys; nil means nobody

	// Missed is called by the goroutine that Listens whenever the channel is there again,
	// or for the first time: announcements since then were not heard. Another server may
	// have taken the place of the one before, and lack edits from before that, too.
	// Nil means nobody is told.
	Missed func(since time.Time)

	RootCAs *x509.CertPool // who signs the certificates of servers with TLS; default those of the system
}

// Keys hears which API keys were revoked. It is called by the goroutine that Listens.
type Keys interface {
	// Revoked says that the key with this digest was revoked.
	Revoked(hash [sha256.Size]byte, at time.Time)

	// Missed says that revocations may have been announced unheard.
	Missed()
}

func (o *Options) setDefaults() {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.FreshTTL == 0 {
		o.FreshTTL = DefaultFreshTTL
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = DefaultMaxBatch
	}
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New(problem))
		}
	}
	if _, err := parseURL(o.URL); err != nil {
		errs = append(errs, fmt.Errorf("URL: %w", err))
	}
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.TTL >= time.Second, "TTL must be a second at least")
	check(o.FreshTTL >= time.Second, "FreshTTL must be a second at least")
	check(o.Timeout > 0, "Timeout must be positive")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	return errors.Join(errs...)
}
