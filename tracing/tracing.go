// Package tracing exports spans of requests, SQL statements and Redis commands by OTLP over
// HTTP. Spans contain no codes, targets, parameters or keys.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Options configures a Tracer.
type Options struct {
	// Endpoint is the URL of a collector for OTLP over HTTP, such as
	// http://localhost:4318. Required.
	Endpoint *url.URL

	// Version is the version of the program, an attribute of each span. May be empty.
	Version string
}

// Tracer exports spans. A nil *Tracer is valid and exports nothing. Safe for concurrent use.
type Tracer struct{ provider *sdktrace.TracerProvider }

// New starts the export to a collector. While the collector is unreachable, spans are lost and
// requests are not delayed.
func New(ctx context.Context, opts Options) (*Tracer, error) {
	if opts.Endpoint == nil {
		return nil, errors.New("tracing: Options.Endpoint is required")
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(opts.Endpoint.JoinPath("v1", "traces").String()))
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	return &Tracer{sdktrace.NewTracerProvider(sdktrace.WithBatcher(withoutPaths{exporter}), sdktrace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "terse"), attribute.String("service.version", opts.Version),
	)))}, nil
}

// Close exports the remaining spans until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// withoutPaths exports spans without the paths of requests. A path contains the code of a
// link, which may be secret.
type withoutPaths struct{ sdktrace.SpanExporter }

// ExportSpans is part of sdktrace.SpanExporter.
func (e withoutPaths) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	shown := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		shown[i] = pathless{s}
	}
	return e.SpanExporter.ExportSpans(ctx, shown)
}

// pathless is a span without the path of its request.
type pathless struct{ sdktrace.ReadOnlySpan }

// Attributes is part of sdktrace.ReadOnlySpan.
func (s pathless) Attributes() []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(s.ReadOnlySpan.Attributes()), func(a attribute.KeyValue) bool { return a.Key == "url.path" })
}

// Handler makes a span for each request. The span continues the trace of a trusted proxy.
// For other clients it starts a new trace, with a link to the client's trace. fromProxy reports
// whether a request comes from a trusted proxy.
func (t *Tracer) Handler(h http.Handler, fromProxy func(*http.Request) bool) http.Handler {
	if t == nil {
		return h
	}
	return otelhttp.NewHandler(h, "request",
		otelhttp.WithTracerProvider(t.provider), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithPublicEndpointFn(func(r *http.Request) bool { return !fromProxy(r) }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }))
}

// Postgres makes a span for each statement, without the values of its parameters. It
// returns nil for a nil *Tracer.
func (t *Tracer) Postgres() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider), otelpgx.WithDisableSQLStatementInAttributes())
}

// Redis makes a span for each command, without keys and values.
func (t *Tracer) Redis(c redis.UniversalClient) error {
	if t == nil {
		return nil
	}
	return redisotel.InstrumentTracing(c, redisotel.WithTracerProvider(t.provider), redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
}
