package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options say which database to open and how.
type Options struct {
	// Dir is the folder of the database; it is made when it does not exist.
	// Required.
	Dir string

	// Serve claims the folder: no second Store with Serve can open it, in this
	// process or another. Stores without Serve work beside it.
	Serve bool

	// Logger hears of what an operator should know. Required.
	Logger *slog.Logger

	// Registerer receives the metrics. Default: none are kept.
	Registerer prometheus.Registerer

	// Now is the clock by which leases and idempotency keys run out. Default
	// time.Now.
	Now func() time.Time

	// CheckTimeout bounds the search for damage when the database is opened. A
	// database too large to be searched in that time is opened all the same, and
	// a warning logged. Default 10 s; negative: no search.
	CheckTimeout time.Duration

	// MaxBatch is the most writes in one transaction. Default 256.
	MaxBatch int

	// MaxQueue is the most writes that may wait for a transaction; more are
	// refused with store.ErrUnavailable. Default 4096.
	MaxQueue int

	// WriteTimeout bounds one transaction, with the wait for another process
	// that writes. Default 10 s.
	WriteTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.CheckTimeout = cmp.Or(o.CheckTimeout, 10*time.Second)
	o.MaxBatch = cmp.Or(o.MaxBatch, 256)
	o.MaxQueue = cmp.Or(o.MaxQueue, 4096)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	return o
}

func (o *Options) validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("option Dir is required"))
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("option Logger is required"))
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"MaxBatch", int64(o.MaxBatch)},
		{"MaxQueue", int64(o.MaxQueue)},
		{"WriteTimeout", int64(o.WriteTimeout)},
	} {
		if field.value < 0 {
			errs = append(errs, fmt.Errorf("option %s = %d, must not be negative", field.name, field.value))
		}
	}
	return errors.Join(errs...)
}
