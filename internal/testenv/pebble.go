//go:build unix

package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PebbleOptions configure a Pebble.
type PebbleOptions struct {
	Location

	// HTTPPort and TLSPort are ports of the loopback address. Pebble sends challenges of all
	// names there. Required.
	HTTPPort, TLSPort int

	// Validity is how long certificates are valid. Default: 90 days.
	Validity time.Duration

	// EABKeys are the MAC keys of external accounts by their ids, in base64url. Default: no
	// external account is required.
	EABKeys map[string]string
}

// Pebble is an ACME authority, with a DNS server that gives every name the loopback address.
// It forgets everything when it stops. Safe for concurrent use.
type Pebble struct {
	Server
	opts       PebbleOptions
	dns        Server
	management int // port
}

// NewPebble starts a Pebble that ends with the test. Failure is fatal. Its log appears in the
// output of a failed test.
func NewPebble(tb testing.TB, opts PebbleOptions) *Pebble {
	tb.Helper()
	p, err := StartPebble(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	atEnd(tb, p.Close)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of Pebble: %s", p.Log())
		}
	})
	return p
}

// StartPebble starts a Pebble. The caller ends it with Close. It also ends with the calling
// process.
func StartPebble(ctx context.Context, opts PebbleOptions) (*Pebble, error) {
	program, err := findPebble("pebble")
	if err != nil {
		return nil, err
	}
	resolver, err := findPebble("pebble-challtestsrv")
	if err != nil {
		return nil, err
	}
	f, err := newFolder(opts.Location)
	if err != nil {
		return nil, fmt.Errorf("start Pebble: %w", err)
	}
	p := &Pebble{opts: opts}
	p.dns = Server{folder: f, name: "dns", stop: syscall.SIGTERM, launch: func(port int) ([]string, error) {
		return []string{
			resolver, "-dnsserver", address(port), "-management", address(p.management), "-defaultIPv4", host, "-defaultIPv6", "",
			"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "",
			"-doh-cert", f.join("unused"), // shows the guard that the process belongs to the folder
		}, nil
	}, ready: p.resolves}
	p.Server = Server{folder: f, name: "pebble", stop: syscall.SIGTERM, launch: func(port int) ([]string, error) { return p.launch(program, port) }, ready: p.listens}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start Pebble: %w", err), p.Close())
	}
	return p, nil
}

func (p *Pebble) open(ctx context.Context) (err error) {
	if _, err := writeCertificate(p.folder); err != nil {
		return err
	}
	if p.management, err = FreePort(ctx); err != nil {
		return err
	}
	return errors.Join(p.dns.Start(ctx), p.Start(ctx))
}

// findPebble returns the path of a program of Pebble, which make test-tools builds.
func findPebble(name string) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	bin := filepath.Join(filepath.Dir(file), "..", "..", "bin")
	found, err := filepath.Glob(filepath.Join(bin, name+"-v*"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%s is not installed: make test-tools", name)
	}
	return found[len(found)-1], nil
}

func (p *Pebble) launch(program string, port int) ([]string, error) {
	validity := 90 * 24 * time.Hour
	if p.opts.Validity > 0 {
		validity = p.opts.Validity
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": address(port), "managementListenAddress": "", "httpPort": p.opts.HTTPPort, "tlsPort": p.opts.TLSPort,
		"certificate": p.folder.join(certificateFile), "privateKey": p.folder.join(keyFile),
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"externalAccountBindingRequired": len(p.opts.EABKeys) > 0, "externalAccountMACKeys": p.opts.EABKeys,
		"profiles": map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": int(validity.Seconds())}},
	}})
	if err != nil {
		return nil, err
	}
	return []string{
		"env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=5", program, "-config", p.folder.join("pebble.json"), "-dnsserver", p.dns.Addr(),
	}, p.folder.write("pebble.json", string(config))
}

// Directory returns the URL of its ACME directory.
func (p *Pebble) Directory() string { return "https://" + p.Addr() + "/dir" }

// CAFile returns the path of a PEM file with the authority of its own certificate.
func (p *Pebble) CAFile() string { return p.folder.join(certificateFile) }

// DNS returns the address of its DNS server.
func (p *Pebble) DNS() string { return p.dns.Addr() }

// Log returns what its processes have written.
func (p *Pebble) Log() string {
	text, err := os.ReadFile(p.folder.join(p.name + ".log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Issued returns how many certificates it has issued in all.
func (p *Pebble) Issued() int { return strings.Count(p.Log(), "Issued certificate serial ") }

// Orders returns how many orders it has received in all.
func (p *Pebble) Orders() int { return strings.Count(p.Log(), "Added order ") }

// Close kills both servers and removes their files.
func (p *Pebble) Close() error { return p.folder.close() }

func (p *Pebble) listens(ctx context.Context, addr string, _ int) (bool, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false, ctx.Err() // refused until it listens
	}
	return true, conn.Close()
}

func (p *Pebble) resolves(ctx context.Context, _ string, _ int) (bool, error) {
	status, err := status(ctx, "http://"+address(p.management)+"/")
	return status == http.StatusNotFound, err
}
