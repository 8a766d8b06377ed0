package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// servers are the HTTP servers of one process.
type servers struct {
	logger *slog.Logger
	failed chan error // of the first that stopped by itself
	all    []*http.Server
}

func newServers(logger *slog.Logger) *servers {
	return &servers{logger: logger, failed: make(chan error, 2)}
}

// start serves h on l. It is not safe for concurrent use.
func (s *servers) start(l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	s.all = append(s.all, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
	}()
}

// shutdown waits for the requests under way, the public server's first.
func (s *servers) shutdown(ctx context.Context) error {
	var problems []error
	for _, server := range s.all {
		if err := server.Shutdown(ctx); err != nil {
			problems = append(problems, err, server.Close())
		}
	}
	return errors.Join(problems...)
}
