//go:build unix

package testenv

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
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	// chosen here. Default: an embedded database in the node's folder.
	Settings map[string]string

	// Environment is more variables of the process, each NAME=VALUE. The environment wins
	// over Settings.
	Environment []string

	// Procs is GOMAXPROCS. Default: the number of cores.
	Procs int

	// Runner is a command line that becomes the node, such as nohup. Default: none.
	Runner []string

	// Sockets are the public and the admin listener, which the node inherits as from systemd.
	// Default: the node listens on free ports.
	Sockets []*os.File

	// Unready makes Start return as soon as the node answers /readyz. Default: once the
	// answer is 200.
	Unready bool
}

// Terse is a node: one process of the product. Safe for concurrent use.
type Terse struct {
	Server
	opts  TerseOptions
	admin int // the port of its admin listener
}

// NewTerse starts a node that ends with the test. Failure is fatal. The log of the node
// appears in the output of a failed test.
func NewTerse(tb testing.TB, opts TerseOptions) *Terse {
	tb.Helper()
	n, err := StartTerse(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	atEnd(tb, n.Close)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of the node at %s: %s", n.Addr(), n.Log())
		}
	})
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
	n.Server = Server{
		folder: f, name: "terse", stop: syscall.SIGTERM, drain: drainTimeout, files: opts.Sockets, launch: n.launch, ready: n.ready,
	}
	if err := n.choosePorts(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if err := n.Start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Terse) choosePorts(ctx context.Context) (err error) {
	if len(n.opts.Sockets) == 0 {
		n.admin, err = FreePort(ctx)
		return err
	}
	for i, port := range []*int{&n.port, &n.admin} {
		l, err := net.FileListener(n.opts.Sockets[i])
		if err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		*port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil { // closes a copy of the socket
			return err
		}
	}
	return nil
}

// URL returns the base URL of its public listener.
func (n *Terse) URL() string { return "http://" + n.Addr() }

// Admin returns its admin listener.
func (n *Terse) Admin() Admin { return Admin(address(n.admin)) }

// DataDir returns the folder of the embedded database when no setting names another one.
func (n *Terse) DataDir() string { return n.folder.join("data") }

// LogFile returns the path of its log, which Close removes.
func (n *Terse) LogFile() string { return n.folder.join(n.name + ".log") }

// Log returns what its processes have written to stdout and stderr.
func (n *Terse) Log() string {
	text, err := os.ReadFile(n.LogFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Command returns a command of the product with the settings of the node, for example to
// create a key in its database. The command is not started yet.
func (n *Terse) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.opts.Binary, args...) //nolint:gosec // the product
	cmd.Dir, cmd.SysProcAttr = n.folder.path, n.folder.owner.attributes()
	cmd.Env = slices.Concat(environment(), n.opts.Environment, []string{"TERSE_CONFIG=" + n.folder.join(configFile)})
	return cmd
}

// raceReport begins each report of the race detector.
const raceReport = "WARNING: DATA RACE"

// Close kills the node and removes its files. It returns an error when the race detector has
// found a race.
func (n *Terse) Close() error {
	log := n.Log()
	err := n.folder.close()
	if _, report, found := strings.Cut(log, raceReport); found {
		err = errors.Join(err, fmt.Errorf("the node at %s has a data race: %s", n.Addr(), strings.TrimSpace(report)))
	}
	return err
}

const configFile = "terse.json"

func (n *Terse) launch(port int) ([]string, error) {
	settings := map[string]string{}
	maps.Copy(settings, n.opts.Settings)
	settings["listen"], settings["admin_listen"] = address(port), string(n.Admin())
	file, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	argv := append([]string{"env"}, n.opts.Environment...)
	if n.opts.Procs > 0 {
		argv = append(argv, "GOMAXPROCS="+strconv.Itoa(n.opts.Procs))
	}
	if len(n.opts.Sockets) > 0 {
		argv = append(argv, "LISTEN_FDS=2", "LISTEN_FDNAMES=public:admin", "sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh")
	}
	argv = slices.Concat(argv, n.opts.Runner, []string{n.opts.Binary, "serve", "--config", n.folder.join(configFile)})
	return argv, n.folder.write(configFile, string(file))
}

func (n *Terse) ready(ctx context.Context, _ string, _ int) (bool, error) {
	status, err := status(ctx, "http://"+string(n.Admin())+"/readyz")
	return status == http.StatusOK || n.opts.Unready && status != 0, err
}
