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
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/terse/terse/deploy/stack/topology"
)

// do performs an action on one part of the stack.
func (h home) do(ctx context.Context, verb, part string) error {
	_, err := h.call(ctx, http.MethodPost, "/"+verb+"/"+part)
	return err
}

// status prints the addresses of all parts.
func (h home) status(ctx context.Context, asJSON bool, stdout io.Writer) error {
	body, err := h.call(ctx, http.MethodGet, "/state")
	if err != nil {
		return err
	}
	if asJSON {
		_, err := stdout.Write(body)
		return err
	}
	var s topology.State
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	return h.show(s, stdout)
}

func (h home) show(s topology.State, stdout io.Writer) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	line := func(name, what string) { fmt.Fprintf(w, "  %s\t%s\n", name, what) }
	running := func(pid int) string {
		if pid == 0 {
			return "not running"
		}
		return fmt.Sprintf("process %d", pid)
	}
	fmt.Fprintf(w, "Terse runs at %s\n\n", s.URL)
	line("API key", s.APIKey)
	line("varnish", s.URL)
	line("nginx", s.Nginx)
	for _, n := range s.Nodes {
		line(n.Name, fmt.Sprintf("%s, admin %s, %s", n.URL, n.Admin, running(n.Pid)))
	}
	line("redis", s.Redis)
	for _, shard := range s.Shards {
		for _, p := range shard.Servers {
			line(p.Name, fmt.Sprintf("%s, %s, %s", p.DSN, p.Role, running(p.Pid)))
		}
	}
	line("prometheus", s.Prometheus)
	line("logs", h.path("servers/*/*.log"))
	fmt.Fprintf(w, "\nFor commands of terse, set TERSE_SHARDS='%s'.\n", s.Setting)
	return w.Flush()
}

// call sends a request to the background process of the stack.
func (h home) call(ctx context.Context, method, path string) ([]byte, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", h.socket())
		},
	}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, method, "http://stack"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("no stack runs in %s", string(h))
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}
