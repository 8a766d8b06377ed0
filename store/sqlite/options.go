package sqlite

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Store.
type Options struct {
	Dir        string                // required: folder of the database; Open creates it when it does not exist
	Registerer prometheus.Registerer // default: no metrics
	Logger     *slog.Logger          // required

	// Serve locks the folder: no second Store with Serve can open it, in any process.
	// Stores without Serve can use the folder at the same time.
	Serve bool

	// CheckTimeout limits the search for damage in Open. When it is reached, Open logs a
	// warning and continues. Default 10 s; a negative value means no search.
	CheckTimeout time.Duration

	WriteTimeout time.Duration // of one transaction, including the wait for a writer in another process; default 10 s
	MaxBatch     int           // most writes in one transaction; default 256
	MaxQueue     int           // most writes that may wait; further writes get store.ErrUnavailable; default 4096

	Now func() time.Time // for the expiry of leases and idempotency keys; default time.Now
}

func (o Options) withDefaults() Options {
	o.Registerer = cmp.Or[prometheus.Registerer](o.Registerer, prometheus.NewRegistry())
	o.CheckTimeout = cmp.Or(o.CheckTimeout, 10*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.MaxBatch = cmp.Or(o.MaxBatch, 256)
	o.MaxQueue = cmp.Or(o.MaxQueue, 4096)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("sqlite: Options."+problem))
		}
	}
	check(o.Dir != "", "Dir is required")
	check(o.Logger != nil, "Logger is required")
	check(o.WriteTimeout > 0, "WriteTimeout must be positive")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	check(o.MaxQueue > 0, "MaxQueue must be positive")
	return errors.Join(errs...)
}
