package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Store.
type Options struct {
	// Name of the shard. Its database must have the same name recorded. Required.
	Name string

	// Primary is the connection URL of the primary. It may name several hosts
	// with target_session_attrs=read-write. Required.
	Primary string

	// Replicas are the connection URLs of streaming replicas, one URL for each server.
	// Default: no replicas.
	Replicas []string

	// SchemaVersion is the lowest usable schema version. Required.
	SchemaVersion int

	// Logger receives messages for operators. Required.
	Logger *slog.Logger

	// Registerer receives the metrics. Default: no metrics.
	Registerer prometheus.Registerer

	// Tracer is called for every statement. Default: no tracer.
	Tracer pgx.QueryTracer

	// ReadTimeout limits one attempt to read from one server. Default 800 ms.
	ReadTimeout time.Duration

	// CallTimeout limits one read or write at the primary for the API, including the wait
	// for a connection and all retries. A search and a flush of clicks have longer
	// timeouts of their own. Default 1.5 s.
	CallTimeout time.Duration

	// MaxLag is how far a replica may be behind the primary to be read. Default 800 ms.
	MaxLag time.Duration

	// MaxAge is how old the data of a replica may be to be read while the primary is
	// unreachable. Default DefaultMaxAge, or MaxLag if that is longer.
	MaxAge time.Duration

	// ProbeEvery is the interval between two probes of a server. Default 200 ms.
	ProbeEvery time.Duration

	// MaxBatch is the most creates, or the most cold reads, in one statement. With 1 they run
	// separately, several at a time. Default 256.
	MaxBatch int

	// Now is the clock for the age of servers and writes. Default time.Now.
	Now func() time.Time
}

// DefaultMaxAge is as long as a cache may serve links while the database is unreachable.
const DefaultMaxAge = time.Hour

func (o Options) withDefaults() Options {
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
	if o.Name == "" {
		errs = append(errs, errors.New("option Name is required"))
	}
	if o.Primary == "" {
		errs = append(errs, errors.New("option Primary is required"))
	}
	if o.SchemaVersion < 1 {
		errs = append(errs, errors.New("option SchemaVersion is required"))
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("option Logger is required"))
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"ReadTimeout", int64(o.ReadTimeout)},
		{"CallTimeout", int64(o.CallTimeout)},
		{"MaxLag", int64(o.MaxLag)},
		{"MaxAge", int64(o.MaxAge)},
		{"ProbeEvery", int64(o.ProbeEvery)},
		{"MaxBatch", int64(o.MaxBatch)},
	} {
		if field.value < 0 {
			errs = append(errs, fmt.Errorf("option %s = %d, must not be negative", field.name, field.value))
		}
	}
	if o.MaxAge < o.MaxLag {
		errs = append(errs, errors.New("option MaxAge must be at least MaxLag"))
	}
	if o.ProbeEvery > 0 && o.MaxLag > 0 && o.MaxLag < 2*o.ProbeEvery {
		errs = append(errs, errors.New("option MaxLag must be at least twice ProbeEvery, or no replica would be probed in time"))
	}
	return errors.Join(errs...)
}
