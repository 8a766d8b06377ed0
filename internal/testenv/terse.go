//go:build unix

package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// drainTimeout is longer than a Terse takes to drain and to close its stores.
const drainTimeout = 60 * time.Second

// TerseOptions configure a Terse.
type TerseOptions struct {
	Location

	// Binary is the path of the program. Each Start runs the file anew, so that a test
	// may replace it by another version. Required.
	Binary string

	// Settings are members of the JSON configuration file. The listen addresses are
	// chosen here.
	Settings map[string]string

	// Procs is GOMAXPROCS. Default: the number of cores.
	Procs int
}

// Terse is a node: one process of the product. Safe for concurrent use.
type Terse struct {
	Server
	opts  TerseOptions
	admin int // the port of its admin listener
}

// BuildTerse builds the product, returns the path of the binary, and removes it at the
// end of the test. Failure is fatal.
func BuildTerse(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "terse-build-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the servers' account runs what is in it
		tb.Fatal(err)
	}
	binary := filepath.Join(dir, "terse")
	build := exec.CommandContext(tb.Context(), "go", "build", "-o", binary, "github.com/terse/terse/cmd/terse") //nolint:gosec // into a fresh folder
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v: %s", err, out)
	}
	return binary
}

// NewTerse starts a node that ends with the test. Failure is fatal.
func NewTerse(tb testing.TB, opts TerseOptions) *Terse {
	tb.Helper()
	n, err := StartTerse(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	atEnd(tb, n.Close)
	return n
}

// StartTerse starts a node and returns once it is ready. The caller ends it with
// Close. It also ends with the calling process.
func StartTerse(ctx context.Context, opts TerseOptions) (*Terse, error) {
	var err error
	if opts.Binary, err = filepath.Abs(opts.Binary); err != nil {
		return nil, fmt.Errorf("start Terse: %w", err)
	}
	f, err := newFolder(opts.Location)
	if err != nil {
		return nil, fmt.Errorf("start Terse: %w", err)
	}
	n := &Terse{opts: opts}
	n.Server = Server{folder: f, name: "terse", stop: syscall.SIGTERM, drain: drainTimeout, launch: n.launch, ready: n.ready}
	if n.admin, err = FreePort(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if err := n.Start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// URL returns the base URL of its public listener.
func (n *Terse) URL() string { return "http://" + n.Addr() }

// AdminAddr returns the address of its admin listener as HOST:PORT.
func (n *Terse) AdminAddr() string { return address(n.admin) }

// Log returns the path of its log, which Close removes.
func (n *Terse) Log() string { return n.folder.join(n.name + ".log") }

// Close kills the node and removes its files.
func (n *Terse) Close() error { return n.folder.close() }

func (n *Terse) launch(port int) ([]string, error) {
	settings := map[string]string{}
	maps.Copy(settings, n.opts.Settings)
	settings["listen"], settings["admin_listen"] = address(port), n.AdminAddr()
	file, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	argv := []string{n.opts.Binary, "serve", "--config", n.folder.join("terse.json")}
	if n.opts.Procs > 0 {
		argv = append([]string{"env", "GOMAXPROCS=" + strconv.Itoa(n.opts.Procs)}, argv...)
	}
	return argv, n.folder.write("terse.json", string(file))
}

func (n *Terse) ready(ctx context.Context, _ string, _ int) (bool, error) {
	status, err := status(ctx, "http://"+n.AdminAddr()+"/readyz")
	return status == 200, err
}
