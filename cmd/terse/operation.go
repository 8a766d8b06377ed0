package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"
)

// operationFlags are the settings for stopping, logging, tracing and connections.
type operationFlags struct {
	DrainDelay      string `placeholder:"TIME" help:"Time between a failing /readyz and the end of new connections, for load balancers to react. Default: 5s with shards, else 0s." setting:""`
	DrainTimeout    string `default:"25s" placeholder:"TIME" help:"Time that the server may take to stop, the delay included. Default: 25s." setting:""`
	AccessLogSample string `default:"0" placeholder:"SHARE" help:"Share of requests to log, from 0 to 1. A 5xx is always logged, except 503. Default: 0." setting:""`
	OTLPEndpoint    string `name:"otlp-endpoint" placeholder:"URL" help:"Collector for traces by OTLP over HTTP, such as http://localhost:4318. Default: $OTEL_EXPORTER_OTLP_ENDPOINT, else none." setting:""`
	MaxConnections  string `default:"16384" placeholder:"N" help:"Largest number of open client connections; a quarter of them for one client network. A further one takes the place of the longest idle one. Default: 16384." setting:""`
}

// operationSettings are operationFlags as the server uses them.
type operationSettings struct {
	drain           drainSettings
	maxConnections  int
	accessLogSample float64
	otlpEndpoint    *url.URL // nil: none
}

// drainSettings divide the time that a server takes to stop.
type drainSettings struct {
	delay   time.Duration // for load balancers to notice
	timeout time.Duration // for the whole stop, the delay included
}

// balancedDelay is the default delay of a server with shards, which usually runs behind a
// load balancer. It is enough for two health checks two seconds apart.
const balancedDelay = 5 * time.Second

// maxMaxConnections is more than one process can serve.
const maxMaxConnections = 1 << 20

// closing is the time for the work after the last request, one fifth of the timeout: clicks
// are flushed, the node id is released and connection pools are closed.
func (d drainSettings) closing() time.Duration { return d.timeout / 5 }

// clicks is the part of closing for flushing clicks. The rest is for the node id and
// the connection pools.
func (d drainSettings) clicks() time.Duration { return d.closing() * 3 / 5 }

// requests is the time that running requests have to finish.
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
			err = fmt.Errorf("%v must be at most half of %sDRAIN_TIMEOUT (%v): the rest is for running requests and clicks",
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

// parseEndpoint parses the URL of a collector. It returns nil for empty text.
func parseEndpoint(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("must be the URL of a collector for OTLP over HTTP, such as http://localhost:4318")
	}
	return u, nil
}
