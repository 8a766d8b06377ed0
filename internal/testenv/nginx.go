//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// nginxDirs are folders of nginx that a user's PATH may lack.
var nginxDirs = []string{"/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"}

// NginxOptions configure an nginx.
type NginxOptions struct {
	Location

	// Config is the content of the http {} block, as in a file of /etc/nginx/conf.d.
	// The text LISTEN is replaced by the address to listen on. Required.
	Config string

	Port int // the port to listen on. Default: a free one
}

// Nginx is an HTTP proxy. Safe for concurrent use.
type Nginx struct {
	Server
	program, config string
}

// StartNginx starts an nginx. The caller ends it with Close. It also ends with the
// calling process.
func StartNginx(ctx context.Context, opts NginxOptions) (*Nginx, error) {
	found := candidates("nginx", nginxDirs)
	if len(found) == 0 {
		return nil, errors.New("start nginx: it is not installed: apt-get install nginx, or brew install nginx")
	}
	f, err := newFolder(opts.Location)
	if err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	n := &Nginx{program: found[0], config: opts.Config}
	n.Server = Server{folder: f, name: "nginx", stop: syscall.SIGQUIT, launch: n.launch, ready: answers("/"), port: opts.Port}
	if err := n.Start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// URL returns where it listens.
func (n *Nginx) URL() string { return "http://" + n.Addr() }

// Close kills the server and removes its files.
func (n *Nginx) Close() error { return n.folder.close() }

// launch writes the configuration, and a main configuration that includes it, as in a distribution.
func (n *Nginx) launch(port int) ([]string, error) {
	var temp strings.Builder
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "    %s_temp_path %s;\n", of, n.folder.join("temp-"+of))
	}
	err := errors.Join(
		n.folder.write("terse.conf", strings.ReplaceAll(n.config, "LISTEN", address(port))),
		n.folder.write("nginx.conf", fmt.Sprintf(`worker_processes 2;
worker_rlimit_nofile 16384;
daemon off;
pid %s;
error_log stderr warn;
events {
    worker_connections 8192;
}
http {
    access_log off;
%s    include %s;
}
`, n.folder.join("nginx.master"), &temp, n.folder.join("terse.conf"))))
	return []string{n.program, "-e", "stderr", "-c", n.folder.join("nginx.conf")}, err
}

// answers returns a ready function that accepts any status for the path.
func answers(path string) func(ctx context.Context, addr string, pid int) (bool, error) {
	return func(ctx context.Context, addr string, _ int) (bool, error) {
		status, err := status(ctx, "http://"+addr+path)
		return status != 0, err
	}
}

// tryTimeout limits a request to a server that starts. A server may accept a connection before it can
// answer, and then lose it.
const tryTimeout = 5 * time.Second

// status returns the HTTP status of url, or 0 while the server does not answer.
func status(ctx context.Context, url string) (int, error) {
	try, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(try, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		return 0, ctx.Err() // refused until it listens
	}
	return answer.StatusCode, answer.Body.Close()
}
