package shard

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Named is one shard with its name in errors, logs and metrics.
type Named struct {
	Name   string
	Shard  Shard
	Leaser Leaser // of the node ids that this shard leases
}

// Options configure a Router.
type Options struct {
	// Shards are all shards, each with a Name, a Shard and a Leaser. Required.
	Shards []Named

	// Logger logs problems with shards and the map. Required.
	Logger *slog.Logger

	// Registerer receives the metrics. Default: metrics are not registered.
	Registerer prometheus.Registerer

	// RefreshEvery is the time between two reads of the map, ±10 %. Default 1 s.
	RefreshEvery time.Duration

	// RefreshTimeout limits how long one shard may take to return its buckets. Default
	// 500 ms.
	RefreshTimeout time.Duration

	// Now is the clock for comparing floors of node ids. Default time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	o.RefreshEvery = cmp.Or(o.RefreshEvery, time.Second)
	o.RefreshTimeout = cmp.Or(o.RefreshTimeout, 500*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	if len(o.Shards) == 0 {
		errs = append(errs, errors.New("option Shards is required"))
	}
	names := make(map[string]bool, len(o.Shards))
	for i, s := range o.Shards {
		switch {
		case s.Name == "" || s.Shard == nil || s.Leaser == nil:
			errs = append(errs, fmt.Errorf("option Shards[%d] needs a name, a shard and a leaser", i))
		case names[s.Name]:
			errs = append(errs, fmt.Errorf("option Shards[%d]: another shard has the name %s", i, s.Name))
		}
		names[s.Name] = true
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("option Logger is required"))
	}
	if o.RefreshEvery < 0 || o.RefreshTimeout < 0 {
		errs = append(errs, errors.New("options RefreshEvery and RefreshTimeout must not be negative"))
	}
	return errors.Join(errs...)
}
