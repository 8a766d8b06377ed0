//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// prometheusPlaces are folders of prometheus and promtool that a user's PATH may
// lack.
var prometheusPlaces = []string{"/opt/homebrew/bin", "/usr/local/bin"}

// PrometheusOptions configure a Prometheus.
type PrometheusOptions struct {
	Location

	// Files are prometheus.yml and the files that it names, by name. Required.
	Files map[string]string
}

// Prometheus scrapes metrics and evaluates rules. Safe for concurrent use.
type Prometheus struct {
	Server
	program string
}

// Promtool returns the path of promtool. If it is missing, the error says how to
// install it.
func Promtool() (string, error) { return findPrometheus("promtool") }

func findPrometheus(name string) (string, error) {
	found := candidates(name, prometheusPlaces)
	if len(found) == 0 {
		return "", fmt.Errorf("%s is not installed: apt-get install prometheus, or brew install prometheus", name)
	}
	return found[0], nil
}

// StartPrometheus starts a Prometheus. The caller ends it with Close. It also ends
// with the calling process.
func StartPrometheus(ctx context.Context, opts PrometheusOptions) (*Prometheus, error) {
	program, err := findPrometheus("prometheus")
	if err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	f, err := newFolder(opts.Location)
	if err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	p := &Prometheus{program: program}
	p.Server = Server{folder: f, name: "prometheus", stop: syscall.SIGTERM, launch: p.launch, ready: p.ready}
	for _, name := range slices.Sorted(maps.Keys(opts.Files)) {
		if err := f.write(name, opts.Files[name]); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	if err := p.check(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := p.Start(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// check runs promtool, which reports errors in the files better than the server does.
func (p *Prometheus) check(ctx context.Context) error {
	promtool, err := exec.LookPath(filepath.Join(filepath.Dir(p.program), "promtool"))
	if err != nil {
		return fmt.Errorf("start Prometheus: %w", err)
	}
	return p.folder.run(ctx, promtool, "check", "config", p.folder.join("prometheus.yml"))
}

// URL returns the base URL of its API and pages.
func (p *Prometheus) URL() string { return "http://" + p.Addr() }

// Close kills the server and removes its files.
func (p *Prometheus) Close() error { return p.folder.close() }

func (p *Prometheus) launch(port int) ([]string, error) {
	return []string{
		p.program, "--config.file=" + p.folder.join("prometheus.yml"), "--storage.tsdb.path=" + p.folder.join("data"),
		"--web.listen-address=" + address(port), "--log.level=warn",
	}, nil
}

func (p *Prometheus) ready(ctx context.Context, addr string, _ int) (bool, error) {
	status, err := status(ctx, "http://"+addr+"/-/ready")
	return status == 200, err
}
