//go:build unix

package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// newcomers are 16 clients that open a new connection for each redirect.
type newcomers struct {
	answered, failed atomic.Int64
	first            atomic.Pointer[string] // failure
	wg               sync.WaitGroup
	stop             chan struct{}
}

// comeAnew starts the clients. A client ends when its connection is refused, or when end is
// called.
func comeAnew(address, code string) *newcomers {
	n := &newcomers{stop: make(chan struct{})}
	for range 16 {
		n.wg.Go(func() {
			for {
				select {
				case <-n.stop:
					return
				default:
				}
				err := visitAnew(address, code)
				switch {
				case errors.Is(err, syscall.ECONNREFUSED):
					return
				case err != nil:
					n.failed.Add(1)
					text := err.Error()
					n.first.CompareAndSwap(nil, &text)
				default:
					n.answered.Add(1)
				}
			}
		})
	}
	return n
}

// end stops the clients and reports failed visits.
func (n *newcomers) end(t *testing.T) {
	t.Helper()
	close(n.stop)
	n.wg.Wait()
	if failed := n.failed.Load(); failed > 0 {
		t.Errorf("%d of %d visits failed, the first with %s", failed, failed+n.answered.Load(), *n.first.Load())
	}
}

// visitAnew requests one redirect over a new connection.
func visitAnew(address, code string) error {
	conn, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET /"+code+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusFound {
		return fmt.Errorf("response %s", response.Status)
	}
	return response.Body.Close()
}

// TestStopResetsNobody checks that a stopping server answers every connection that the kernel
// has accepted, with a drain delay and without.
func TestStopResetsNobody(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for _, delay := range []string{"0s", "500ms"} {
		t.Run(delay, func(t *testing.T) {
			t.Parallel()
			for range 3 {
				p := start(t, "TERSE_DRAIN_DELAY="+delay)
				c := client(t)
				code, err := shorten(c, p.url, "https://example.com/")
				must(t, err)
				c.CloseIdleConnections()
				n := comeAnew(p.Addr(), code)
				testenv.Await(t, "visits", func() bool { return n.answered.Load() >= 1000 })
				must(t, p.Signal(syscall.SIGTERM))
				if err := p.Wait(); err != nil {
					t.Errorf("after SIGTERM terse ended with %v: %s", err, p.Log())
				}
				n.end(t)
			}
		})
	}
}

// TestRestartsWithSystemdSockets checks that restarts under load fail no visit when the
// server inherits its sockets, as from systemd.
func TestRestartsWithSystemdSockets(t *testing.T) {
	t.Parallel()
	restarts := testenv.Rounds(20)
	var files []*os.File
	var addresses []string
	for range 2 {
		f, address := openSocket(t)
		files, addresses = append(files, f), append(addresses, address)
	}
	p := startBy(t, testenv.TerseOptions{Sockets: files})
	if admin := p.logged(`admin=(\S+)`); admin != addresses[1] {
		t.Errorf("admin listener = %s, want the socket of the parent, %s", admin, addresses[1])
	}
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	c.CloseIdleConnections()
	n := comeAnew(addresses[0], code)
	for range restarts {
		before := n.answered.Load()
		testenv.Await(t, "visits", func() bool { return n.answered.Load() >= before+100 })
		must(t, p.Signal(syscall.SIGTERM))
		if err := p.Wait(); err != nil {
			t.Fatalf("after SIGTERM terse ended with %v: %s", err, p.Log())
		}
		p.again()
	}
	n.end(t)
	t.Logf("%d restarts, %d visits", restarts, n.answered.Load())
}

// openSocket returns a listening socket for a child process, and its address.
func openSocket(t *testing.T) (socket *os.File, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	socket, err = l.(*net.TCPListener).File()
	must(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	return socket, l.Addr().String()
}

// TestUnknownSystemdSocket checks that a socket with an unknown name is an error, and that
// the error names the setting to change.
func TestUnknownSystemdSocket(t *testing.T) {
	t.Parallel()
	f, _ := openSocket(t)
	for names, want := range map[string]string{
		"terse.socket": `in the unit of socket "terse.socket" set FileDescriptorName=public, http or admin`,
		"":             "FileDescriptorName=public, http or admin",
		"public:admin": `LISTEN_FDNAMES: "public:admin" must name 1 sockets`,
	} {
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", testenv.BuildTerse(t), "serve")
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+names, "TERSE_DATA_DIR="+t.TempDir())
		cmd.ExtraFiles = []*os.File{f}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("terse serve with the socket %q ended with %v: %s, want %q", names, err, out, want)
		}
	}
}
