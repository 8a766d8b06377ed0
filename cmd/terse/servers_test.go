package main

import (
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestConnectionsHaveBounds checks that no bound of a connection is left out: net/http
// takes the zero value for none, or for a megabyte of headers.
func TestConnectionsHaveBounds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := startServer(l, http.NotFoundHandler(), slog.New(slog.DiscardHandler), make(chan error, 1))
	t.Cleanup(func() { must(t, s.http.Close()) })
	for name, tt := range map[string]struct{ got, want time.Duration }{
		"ReadHeaderTimeout": {s.http.ReadHeaderTimeout, readHeaderTimeout},
		"ReadTimeout":       {s.http.ReadTimeout, readTimeout},
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
