package main

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

// traces exports spans by OTLP over HTTP. A nil *traces exports nothing.
type traces struct{ provider *sdktrace.TracerProvider }

// openTraces starts the export to the collector of the settings. It returns nil without a
// collector. While the collector is unreachable, spans are lost and requests are not
// delayed.
func (p *process) openTraces(ctx context.Context) (*traces, error) {
	endpoint := p.settings.operation.otlpEndpoint
	if endpoint == nil {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint.JoinPath("v1", "traces").String()))
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	t := &traces{sdktrace.NewTracerProvider(sdktrace.WithBatcher(withoutPaths{exporter}), sdktrace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "terse"), attribute.String("service.version", version),
	)))}
	p.open.push("traces", closeTimeout, t.provider.Shutdown)
	return t, nil
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

// handler makes a span for each request. The span continues the trace of a trusted proxy.
// For other clients it starts a new trace, with a link to the client's trace.
func (t *traces) handler(h http.Handler, fromProxy func(*http.Request) bool) http.Handler {
	if t == nil {
		return h
	}
	return otelhttp.NewHandler(h, "request",
		otelhttp.WithTracerProvider(t.provider), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithPublicEndpointFn(func(r *http.Request) bool { return !fromProxy(r) }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }))
}

// postgres makes a span for each statement, without the values of its parameters.
func (t *traces) postgres() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider), otelpgx.WithDisableSQLStatementInAttributes())
}

// redis makes a span for each command, without keys and values.
func (t *traces) redis(c redis.UniversalClient) error {
	if t == nil {
		return nil
	}
	return redisotel.InstrumentTracing(c, redisotel.WithTracerProvider(t.provider), redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
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
