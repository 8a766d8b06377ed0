//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// varnishDirs are folders of varnishd that a user's PATH may lack.
var varnishDirs = []string{"/usr/sbin", "/opt/homebrew/sbin", "/usr/local/sbin"}

// VarnishOptions configure a Varnish.
type VarnishOptions struct {
	Location

	VCL  string // the configuration. Required
	Port int    // the port to listen on. Default: a free one
}

// Varnish is a cache in front of an HTTP server. Safe for concurrent use.
type Varnish struct {
	Server
	program, vcl string
}

// NewVarnish starts a Varnish with a configuration in VCL that ends with the test.
// Failure is fatal.
func NewVarnish(tb testing.TB, vcl string) *Varnish {
	tb.Helper()
	v, err := StartVarnish(tb.Context(), VarnishOptions{VCL: vcl})
	if err != nil {
		tb.Fatal(err)
	}
	atEnd(tb, v.Close)
	return v
}

// StartVarnish starts a Varnish. The caller ends it with Close. It also ends with the
// calling process.
func StartVarnish(ctx context.Context, opts VarnishOptions) (*Varnish, error) {
	found := candidates("varnishd", varnishDirs)
	if len(found) == 0 {
		return nil, errors.New("start Varnish: varnishd is not installed: apt-get install varnish varnish-modules, or brew install varnish")
	}
	f, err := newFolder(opts.Location)
	if err != nil {
		return nil, fmt.Errorf("start Varnish: %w", err)
	}
	v := &Varnish{program: found[0], vcl: opts.VCL}
	v.Server = Server{folder: f, name: "varnish", stop: syscall.SIGTERM, launch: v.launch, ready: answers("/"), port: opts.Port}
	if err := v.Start(ctx); err != nil {
		if strings.Contains(err.Error(), "Could not open VMOD") || strings.Contains(err.Error(), "Could not find VMOD") {
			err = fmt.Errorf("%w\nvmods are missing: apt-get install varnish-modules, or build https://github.com/varnish/varnish-modules", err)
		}
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// URL returns the base URL for visitors.
func (v *Varnish) URL() string { return "http://" + v.Addr() }

// Command returns a tool of Varnish, such as varnishncsa, for this server. It is not started yet.
func (v *Varnish) Command(ctx context.Context, tool string, args ...string) (*exec.Cmd, error) {
	found := candidates(tool, []string{"/usr/bin", "/opt/homebrew/bin", "/usr/local/bin"})
	if len(found) == 0 {
		return nil, fmt.Errorf("%s is not installed: apt-get install varnish, or brew install varnish", tool)
	}
	cmd := exec.CommandContext(ctx, found[0], append([]string{"-n", v.folder.join("varnish")}, args...)...) //nolint:gosec // a tool of the server
	cmd.Env = environment()
	return cmd, nil
}

// Close kills the server and removes its files.
func (v *Varnish) Close() error { return v.folder.close() }

func (v *Varnish) launch(port int) ([]string, error) {
	return []string{
		v.program, "-F", "-j", "none", "-n", v.folder.join("varnish"), "-f", v.folder.join("varnish.vcl"),
		"-a", address(port), "-T", address(0), "-s", "malloc,32M", "-p", "feature=+http2",
	}, v.folder.write("varnish.vcl", v.vcl)
}
