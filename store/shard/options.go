package shard

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Named is one shard and what it is called in errors, logs and metrics.
type Named struct {
	Name   string
	Shard  Shard
	Leaser Leaser // of the node ids that this shard leases
}

// Options say which shards there are.
type Options struct {
	// Shards are all shards, each with a name, a shard and a leaser. Required.
	Shards []Named

	// Logger hears of what an operator should know. Required.
	Logger *slog.Logger

	// Registerer receives the metrics. Default: none are kept.
	Registerer prometheus.Registerer

	// RefreshEvery is how often the map is read, give or take a tenth. Default
	// 1 s.
	RefreshEvery time.Duration

	// RefreshTimeout bounds how long one shard may take to say which buckets it
	// owns. Default 500 ms.
	RefreshTimeout time.Duration

	// Now is the clock by which floors of node ids are in the future. Default
	// time.Now.
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
			errs = append(errs, fmt.Errorf("option Shards[%d]: there is another named %s", i, s.Name))
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
