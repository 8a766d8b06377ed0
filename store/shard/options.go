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
	Shards     []Named               // required: all shards, each with a Name, a Shard and a Leaser
	Registerer prometheus.Registerer // default: no metrics
	Logger     *slog.Logger          // required

	RefreshEvery   time.Duration // between two reads of the map, ±10 %; default 1 s
	RefreshTimeout time.Duration // for one shard to return its buckets; default 500 ms

	Now func() time.Time // for comparing floors of node ids; default time.Now
}

func (o Options) withDefaults() Options {
	o.Registerer = cmp.Or[prometheus.Registerer](o.Registerer, prometheus.NewRegistry())
	o.RefreshEvery = cmp.Or(o.RefreshEvery, time.Second)
	o.RefreshTimeout = cmp.Or(o.RefreshTimeout, 500*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("shard: Options."+problem))
		}
	}
	check(len(o.Shards) > 0, "Shards is required")
	names := make(map[string]bool, len(o.Shards))
	for i, s := range o.Shards {
		field := fmt.Sprintf("Shards[%d]", i)
		check(s.Name != "", field+".Name is required")
		check(s.Shard != nil, field+".Shard is required")
		check(s.Leaser != nil, field+".Leaser is required")
		check(s.Name == "" || !names[s.Name], field+".Name is the name of another shard: "+s.Name)
		names[s.Name] = true
	}
	check(o.Logger != nil, "Logger is required")
	check(o.RefreshEvery > 0, "RefreshEvery must be positive")
	check(o.RefreshTimeout > 0, "RefreshTimeout must be positive")
	return errors.Join(errs...)
}
