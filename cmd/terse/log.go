package main

import (
	"cmp"
	"io"
	"log"
	"log/slog"
	"net"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"

	"github.com/terse/terse/api"
)

// newLogger returns the logger of the settings.
func newLogger(s serveSettings, w io.Writer) *slog.Logger {
	return slog.New(api.LogHandler(newLogHandler(w, s.logJSON, s.logLevel)))
}

// newLogHandler writes records as text, or each as one line of JSON.
func newLogHandler(w io.Writer, inJSON bool, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if inJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// readable writes a duration with its unit, and an address as host:port. JSON would have
// nanoseconds and an object.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case net.Addr:
		a.Value = slog.StringValue(v.String())
	default:
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
	}
	return a
}

// takeLibraryLogs sends the messages of libraries to logger, as warnings: those of the standard
// log package, and the errors of OpenTelemetry. Both are global.
func takeLibraryLogs(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(logger.Handler(), slog.LevelWarn).Writer())
	otel.SetLogger(logr.FromSlogHandler(logger.Handler()))
}

// logsJSON reports whether the command line is a server that logs JSON. It needs no complete
// command line: problems of the command line are lines of the log too.
func (a *app) logsJSON(args []string, from *sources) bool {
	format := cmp.Or(a.Serve.LogFormat, from.env[envPrefix+"LOG_FORMAT"])
	return len(args) > 0 && args[0] == "serve" && format == "json"
}

// logProblem writes one problem that ends the server as a record of its JSON log.
func logProblem(w io.Writer, problem string) {
	slog.New(newLogHandler(w, true, slog.LevelError)).Error("the server ended", "err", problem)
}

// warnOfPublicAdmin warns if the admin listener accepts connections from other machines over
// public addresses.
func (p *process) warnOfPublicAdmin(admin net.Addr) {
	tcp, ok := admin.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() || tcp.IP.IsPrivate() || tcp.IP.IsLinkLocalUnicast() {
		return
	}
	p.logger.Warn("the admin listener accepts connections from other machines, and asks for no password: allow only your monitoring to connect",
		"admin", admin)
}
