//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
)

// startBare starts this command as the server of the yardstick, with more arguments.
func startBare(ctx context.Context, l link, more ...string) (*process, error) {
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
	return start(exec.CommandContext(ctx, self, append(more, "-bare", string(encoded))...), "") //nolint:gosec // it runs itself
}

// serveBare serves the yardstick: a handler that only writes the answer, in a server
// without timeouts. A public server needs timeouts, and what they cost counts against
// the product. With a certificate it serves HTTPS.
func serveBare(ctx context.Context, encoded string, p pair) error {
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
	server := &http.Server{Handler: handler} //nolint:gosec // the yardstick has no timeouts, and listens on loopback
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if p.certificate == "" {
		fmt.Fprintf(os.Stdout, "http://%s\n", listener.Addr())
		err = server.Serve(listener)
	} else {
		fmt.Fprintf(os.Stdout, "https://%s\n", listener.Addr())
		server.ErrorLog = log.New(io.Discard, "", 0) // a load ends within handshakes
		err = server.ServeTLS(listener, p.certificate, p.key)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
