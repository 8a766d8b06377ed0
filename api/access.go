package api

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"
)

// access logs a sample of the requests, and every 5xx except 503. During an outage every
// request may be a 503: a.problem logs these once a second. The log has the route instead
// of the URL, because a URL may contain secrets.
func (a *API) access(ctx context.Context, route, method string, status int, took time.Duration) {
	failed := status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable
	if !failed && (a.opts.AccessLogSample <= 0 || rand.Float64() >= a.opts.AccessLogSample) { //nolint:gosec // a sample
		return
	}
	level := slog.LevelInfo
	if failed {
		level = slog.LevelError
	}
	a.opts.Logger.LogAttrs(ctx, level, "request", slog.String("route", route), slog.String("method", method),
		slog.Int("status", status), slog.Duration("took", took))
}
