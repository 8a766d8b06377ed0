package certificates

import (
	"context"
	"fmt"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// logCore writes the messages of certmagic to a slog.Logger at debug: the Manager logs what
// matters to an operator itself.
type logCore struct{ logger *slog.Logger }

var _ zapcore.Core = logCore{}

// Enabled implements zapcore.Core.
func (c logCore) Enabled(zapcore.Level) bool {
	return c.logger.Enabled(context.Background(), slog.LevelDebug)
}

// With implements zapcore.Core.
func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	if !c.Enabled(zapcore.DebugLevel) {
		return c
	}
	return logCore{slog.New(c.logger.Handler().WithAttrs(attributes(fields)))}
}

// Check implements zapcore.Core.
func (c logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	attrs := append([]slog.Attr{slog.String("message", e.Message), slog.String("severity", e.Level.String())}, attributes(fields)...)
	c.logger.LogAttrs(context.Background(), slog.LevelDebug, "acme client", attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (logCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) []slog.Attr {
	encoded := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(encoded)
	}
	attrs := make([]slog.Attr, 0, len(encoded.Fields))
	for key, value := range encoded.Fields {
		attrs = append(attrs, slog.String(key, fmt.Sprint(value)))
	}
	return attrs
}
