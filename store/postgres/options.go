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

// Options say where a shard is and how to use it.
type Options struct {
	// Name of the shard. Its database must carry the same. Required.
	Name string

	// Primary is the connection URL of the primary. It may name several hosts
	// with target_session_attrs=read-write. Required.
	Primary string

	// Replicas are the connection URLs of streaming replicas, each of one server.
	// Default none.
	Replicas []string

	// SchemaVersion is what the schema must be at least. Required.
	SchemaVersion int

	// Logger hears of what an operator should know. Required.
	Logger *slog.Logger

	// Registerer receives the metrics. Default: none are kept.
	Registerer prometheus.Registerer

	// Tracer is told of every statement. Default: nobody is.
	Tracer pgx.QueryTracer

	// ReadTimeout bounds one attempt to read from one server. Default 800 ms.
	ReadTimeout time.Duration

	// CallTimeout bounds one read or write of the API at the primary, with the
	// wait for a connection and all attempts. A search and a flush of clicks may
	// take longer. Default 1.5 s.
	CallTimeout time.Duration

	// MaxLag is how far behind the primary a replica may be to be read. Default
	// 800 ms.
	MaxLag time.Duration

	// MaxAge is how old the data of a replica may be that answers while the primary is
	// unreachable. Default DefaultMaxAge, or
	// MaxLag when that is more.
	MaxAge time.Duration

	// ProbeEvery is how often each server is looked at. Default 200 ms.
	ProbeEvery time.Duration

	// MaxBatch is the most creates, or cold reads, in one statement; 1 lets each
	// travel alone, several at a time. Default 256.
	MaxBatch int

	// Now is the clock by which the age of servers and writes is told. Default
	// time.Now.
	Now func() time.Time
}

// DefaultMaxAge is as long as a cache may answer for a database that is unreachable.
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
		errs = append(errs, errors.New("option MaxLag must be at least twice ProbeEvery: no replica would be seen in time"))
	}
	return errors.Join(errs...)
}
