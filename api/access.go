package api

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"
)

// access logs a part of the requests, and of those that failed for a reason of ours
// all but the 503, of which there may be as many as requests: they are told once a
// second where they arise. It tells the route, never the address, which may hold
// secrets.
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
