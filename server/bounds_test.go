package server

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// TestConnectionsHaveBounds checks that every bound of a connection is set. For
// net/http, zero means no timeout, or a megabyte of headers.
func TestConnectionsHaveBounds(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Options{Listener: l, Handler: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler), Failed: make(chan error, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for name, tt := range map[string]struct{ got, want time.Duration }{
		"ReadHeaderTimeout": {s.http.ReadHeaderTimeout, ReadHeaderTimeout},
		"ReadTimeout":       {s.http.ReadTimeout, ReadTimeout},
		"WriteTimeout":      {s.http.WriteTimeout, writeTimeout},
		"IdleTimeout":       {s.http.IdleTimeout, idleTimeout},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %v, want %v", name, tt.got, tt.want)
		}
	}
	if s.http.MaxHeaderBytes != maxHeaderBytes {
		t.Errorf("MaxHeaderBytes = %d, want %d", s.http.MaxHeaderBytes, maxHeaderBytes)
	}
}
