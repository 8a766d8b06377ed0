package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Bounds of one connection: a slow or silent client cannot hold it for long.
// Writing may take longer than reading, so that one whose body is too slow is
// still told so.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 15 * time.Second
	idleTimeout       = 75 * time.Second
	maxHeaderBytes    = 16 << 10
)

// listen opens a listener before anything is served, so that a taken port is
// told at once.
func listen(ctx context.Context, name, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %q: %w", name, address, err)
	}
	return l, nil
}

// localURL is what short URLs begin with when nobody said it.
func localURL(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil || port == "80" {
		return "http://localhost"
	}
	return "http://localhost:" + port
}

// server is an HTTP server that serves on one listener.
type server struct {
	http    http.Server
	leaving atomic.Bool // answers ask clients to connect anew
}

// startServer serves h on l. The error of a server that stops by itself goes to failed.
func startServer(l net.Listener, h http.Handler, logger *slog.Logger, failed chan<- error) *server {
	s := &server{}
	s.http = http.Server{
		Handler:           s.handler(h),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
	}()
	return s
}

func (s *server) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.leaving.Load() {
			w.Header()["Connection"] = hangUp
		}
		h.ServeHTTP(w, r)
	})
}

var hangUp = []string{"close"}

// leave goes on as before, but for asking clients to connect anew: what they reach
// then is for the load balancer to say. Connections without a request stay, since a
// client may be about to use one.
func (s *server) leave() { s.leaving.Store(true) }

// shutdown takes no more connections and waits for the requests under way. Those
// that are not finished when ctx ends are cut off.
func (s *server) shutdown(ctx context.Context) error {
	s.leave()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}
