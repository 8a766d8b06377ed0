package main

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"
)

// operationFlags are the settings of how a server starts, stops and guards itself.
type operationFlags struct {
	DrainDelay      string `placeholder:"TIME" help:"How long a stopping server goes on as before once /readyz says that it stops, so that load balancers notice. Default: 5s with shards, else 0s." setting:""`
	DrainTimeout    string `default:"25s" placeholder:"TIME" help:"How long a server may take to stop, the delay included. Default: 25s." setting:""`
	AccessLogSample string `default:"0" placeholder:"PART" help:"Part of the requests that are logged, from 0 to 1; those that fail always are. Default: 0." setting:""`
	OTLPEndpoint    string `name:"otlp-endpoint" placeholder:"URL" help:"Collector that takes traces by OTLP over HTTP, such as http://localhost:4318. Default: $OTEL_EXPORTER_OTLP_ENDPOINT, else none." setting:""`
	MaxConnections  string `default:"16384" placeholder:"N" help:"Most connections of clients at a time. Default: 16384." setting:""`
}

// operationSettings are operationFlags as the server uses them.
type operationSettings struct {
	drain           drainSettings
	maxConnections  int
	accessLogSample float64
	otlpEndpoint    *url.URL // nil: none
}

// drainSettings divide the time in which a server stops.
type drainSettings struct {
	delay   time.Duration // for load balancers to notice
	timeout time.Duration // for everything, the delay included
}

// balancedDelay is the delay of a server that shares shards with others, and so
// stands behind a load balancer: two looks every two seconds and some.
const balancedDelay = 5 * time.Second

// maxMaxConnections is more than one process can serve.
const maxMaxConnections = 1 << 20

// closing is the time for what follows the last request: the fifth part of all.
// Clicks are flushed in it, the node id is given back and pools are closed.
func (d drainSettings) closing() time.Duration { return d.timeout / 5 }

// clicks is the part of closing in which they are flushed. What is closed then has
// what is left, the node id first.
func (d drainSettings) clicks() time.Duration { return d.closing() * 3 / 5 }

// requests is the time in which requests under way are finished.
func (d drainSettings) requests() time.Duration { return d.timeout - d.delay - d.closing() }

func (f *operationFlags) read(sharded bool, try func(name string, err error)) operationSettings {
	var s operationSettings
	var err error
	s.drain.timeout, err = parseDuration(f.DrainTimeout)
	if err == nil && s.drain.timeout == 0 {
		err = fmt.Errorf("%q must be above zero", f.DrainTimeout)
	}
	try("DRAIN_TIMEOUT", err)
	known := err == nil
	switch {
	case f.DrainDelay != "":
		s.drain.delay, err = parseDuration(f.DrainDelay)
		if err == nil && known && s.drain.delay > s.drain.timeout/2 {
			err = fmt.Errorf("%v must be at most half of %sDRAIN_TIMEOUT (%v): the rest is for requests under way and clicks",
				s.drain.delay, envPrefix, s.drain.timeout)
		}
		try("DRAIN_DELAY", err)
	case sharded:
		s.drain.delay = min(balancedDelay, s.drain.timeout/2)
	}
	s.accessLogSample, err = parsePart(f.AccessLogSample)
	try("ACCESS_LOG_SAMPLE", err)
	s.otlpEndpoint, err = parseEndpoint(cmp.Or(f.OTLPEndpoint, os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")))
	try("OTLP_ENDPOINT", err)
	s.maxConnections, err = parseCount(f.MaxConnections, maxMaxConnections)
	try("MAX_CONNECTIONS", err)
	return s
}

func parsePart(s string) (float64, error) {
	part, err := strconv.ParseFloat(s, 64)
	if err != nil || !(part >= 0 && part <= 1) {
		return 0, fmt.Errorf("%q must be a number from 0 to 1, such as 0.01", s)
	}
	return part, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q must be a time, such as 15s", s)
	}
	return d, nil
}
