package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configures a Store.
type Options struct {
	// Dir is the folder of the database. Open creates it when it does not exist.
	// Required.
	Dir string

	// Serve locks the folder: no second Store with Serve can open it, in any process.
	// Stores without Serve can use the folder at the same time.
	Serve bool

	// Logger receives warnings for operators. Required.
	Logger *slog.Logger

	// Registerer receives the metrics. Default: no metrics.
	Registerer prometheus.Registerer

	// Now is the clock for the expiry of leases and idempotency keys. Default time.Now.
	Now func() time.Time

	// CheckTimeout is the time limit of the search for damage in Open. When it is
	// reached, Open logs a warning and continues. Default 10 s; a negative value means
	// no search.
	CheckTimeout time.Duration

	// MaxBatch is the most writes in one transaction. Default 256.
	MaxBatch int

	// MaxQueue is the most writes that may wait for a transaction. Further writes get
	// store.ErrUnavailable. Default 4096.
	MaxQueue int

	// WriteTimeout is the time limit of one transaction, including the wait for a writer
	// in another process. Default 10 s.
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
