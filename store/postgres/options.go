package postgres

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Store.
type Options struct {
	Name          string                // required: of the shard; its database must have the same name recorded
	Primary       string                // required: connection URL of the primary; may name several hosts with target_session_attrs=read-write
	SchemaVersion int                   // required: lowest usable schema version
	Registerer    prometheus.Registerer // default: no metrics
	Logger        *slog.Logger          // required

	Replicas []string        // connection URLs of streaming replicas, one for each server; default: no replicas
	Tracer   pgx.QueryTracer // called for every statement; default: no tracer

	ReadTimeout time.Duration // of one attempt to read from one server; default 800 ms

	// CallTimeout limits one read or write at the primary for the API, including the wait
	// for a connection and all retries. A search and a flush of clicks have longer
	// timeouts of their own. Default 1.5 s.
	CallTimeout time.Duration

	MaxLag     time.Duration // how far a replica may be behind the primary to be read; default 800 ms
	MaxAge     time.Duration // how old the data of a replica may be while the primary is unreachable; default DefaultMaxAge, or MaxLag if that is longer
	ProbeEvery time.Duration // between two probes of a server; default 200 ms
	MaxBatch   int           // most creates, or cold reads, in one statement; with 1 they run separately, several at a time; default 256

	Now func() time.Time // for the age of servers and writes; default time.Now
}

// DefaultMaxAge is as long as a cache may serve links while the database is unreachable.
const DefaultMaxAge = time.Hour

func (o Options) withDefaults() Options {
	o.Registerer = cmp.Or[prometheus.Registerer](o.Registerer, prometheus.NewRegistry())
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 800*time.Millisecond)
	o.CallTimeout = cmp.Or(o.CallTimeout, 1500*time.Millisecond)
	o.MaxLag = cmp.Or(o.MaxLag, 800*time.Millisecond)
	o.MaxAge = cmp.Or(o.MaxAge, max(DefaultMaxAge, o.MaxLag))
	o.ProbeEvery = cmp.Or(o.ProbeEvery, 200*time.Millisecond)
	o.MaxBatch = cmp.Or(o.MaxBatch, 256)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("postgres: Options."+problem))
		}
	}
	check(o.Name != "", "Name is required")
	check(o.Primary != "", "Primary is required")
	check(o.SchemaVersion > 0, "SchemaVersion is required")
	check(o.Logger != nil, "Logger is required")
	check(o.ReadTimeout > 0, "ReadTimeout must be positive")
	check(o.CallTimeout > 0, "CallTimeout must be positive")
	check(o.MaxLag > 0, "MaxLag must be positive")
	check(o.MaxAge >= o.MaxLag, "MaxAge must be at least MaxLag")
	check(o.ProbeEvery > 0, "ProbeEvery must be positive")
	check(o.MaxLag >= 2*o.ProbeEvery, "MaxLag must be at least twice ProbeEvery, or no replica would be probed in time")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	return errors.Join(errs...)
}
