//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/terse/terse/deploy/stack/topology"
	"github.com/terse/terse/internal/testenv"
)

// ready is the line that serve prints when all servers have started.
const ready = "ready"

// serve runs a stack until ctx ends.
func (h home) serve(ctx context.Context, opts topology.Options, stdout io.Writer) (err error) {
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	// Remove the servers of a stack that was killed together with its guards.
	if err := testenv.Sweep(ctx, h.servers()); err != nil {
		return err
	}
	opts.Dir = h.servers()
	t, err := topology.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	server, failed, err := h.listen(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	fmt.Fprintln(stdout, ready)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// listen serves commands on a Unix socket in the folder. Only its owner can connect.
func (h home) listen(ctx context.Context, t *topology.Topology) (*http.Server, <-chan error, error) {
	if err := os.Remove(h.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", h.socket())
	if err != nil {
		return nil, nil, err
	}
	if err := os.Chmod(h.socket(), 0o600); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(t.State()) //nolint:gosec // the key is for this stack only, and the socket's owner has it already
	})
	mux.HandleFunc("POST /{verb}/{part}", func(w http.ResponseWriter, r *http.Request) {
		if err := t.Do(r.Context(), r.PathValue("verb"), r.PathValue("part")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	return server, failed, nil
}
