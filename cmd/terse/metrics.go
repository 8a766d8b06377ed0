package main

import (
	"errors"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/terse/terse/api/overload"
)

// register creates the guard and registers the metrics of the process.
func (p *process) register() (err error) {
	if p.guard, err = overload.New(overload.Options{Registerer: p.registry}); err != nil {
		return err
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "terse_build_info",
		Help:        "Always 1. The labels are the version and the Go version of the binary.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_ready",
		Help: "1 while /readyz is 200, else 0: the process is starting or stopping, or has no schema or no map of buckets yet.",
	}, func() float64 {
		if p.health.Ready() {
			return 1
		}
		return 0
	})
	var errs []error
	for _, c := range []prometheus.Collector{
		build, ready, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, p.registry.Register(c))
	}
	return errors.Join(errs...)
}
