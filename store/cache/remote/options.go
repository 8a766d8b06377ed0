package remote

import (
	"cmp"
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

// slowTimeout limits a round trip that no request waits for.
const slowTimeout = time.Second

// freshFor is how long after its last write a link is stored for FreshTTL only. A failover may
// lose that write, and processes do not ask the database while the link is stored here.
// freshFor is longer than a standby may be disconnected before an operator promotes it.
const freshFor = time.Hour

// leaseTTL is the lifetime of a lease or marker. It is longer than a load may take.
const leaseTTL = 3 * time.Second

// Options configure a Cache.
type Options struct {
	URL        string                // required; see CheckURL
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	RootCAs *x509.CertPool // certificate authorities for TLS; default: the system's
	Keys    Keys           // receives revocations of API keys; may be nil

	// Missed is called each time Listen has connected, also the first time, by its goroutine.
	// Announcements after since were not received. The connection may be to another server,
	// which may also lack edits from before since. It is also called when a cluster has another
	// master. May be nil.
	Missed func(since time.Time)

	TTL      time.Duration // how long a link is stored, ±10 %; default DefaultTTL
	FreshTTL time.Duration // the same for a link created or edited less than an hour ago; default DefaultFreshTTL
	Timeout  time.Duration // of one round trip, except for Invalidate; a call may also wait for the round trip before; default DefaultTimeout
	MaxBatch int           // most calls that share a round trip; default DefaultMaxBatch
}

// Keys receives revocations of API keys. The goroutine of Listen calls its methods.
type Keys interface {
	// Revoked reports that the key with this digest was revoked at the given time.
	Revoked(hash [sha256.Size]byte, at time.Time)

	// Missed reports that announced revocations may have been lost.
	Missed()
}

func (o Options) withDefaults() Options {
	o.TTL = cmp.Or(o.TTL, DefaultTTL)
	o.FreshTTL = cmp.Or(o.FreshTTL, DefaultFreshTTL)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.MaxBatch = cmp.Or(o.MaxBatch, DefaultMaxBatch)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("remote: Options."+problem))
		}
	}
	if _, err := parseURL(o.URL); err != nil {
		errs = append(errs, fmt.Errorf("remote: Options.URL: %w", err))
	}
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.TTL >= time.Second, "TTL must be at least one second")
	check(o.FreshTTL >= time.Second, "FreshTTL must be at least one second")
	check(o.Timeout > 0, "Timeout must be positive")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	return errors.Join(errs...)
}
