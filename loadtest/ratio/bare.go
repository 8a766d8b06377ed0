//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
)

// startBare starts this command as the server of the yardstick.
func startBare(ctx context.Context, l link) (*process, error) {
	headers := l.headers.Clone()
	headers.Del("Date")
	encoded, err := json.Marshal(headers)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(exec.CommandContext(ctx, self, "-bare", string(encoded)), "") //nolint:gosec // it runs itself
}

// serveBare serves the yardstick: a handler that only writes the answer, in a server
// without timeouts. A public server needs timeouts, and what they cost counts against
// the product.
func serveBare(ctx context.Context, encoded string) error {
	headers := http.Header{}
	if err := json.Unmarshal([]byte(encoded), &headers); err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), headers)
		w.WriteHeader(http.StatusFound)
	})
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler} //nolint:gosec // the yardstick has no timeouts, and listens on loopback
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
