package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/server"
)

// within is how long a test waits for what should happen soon.
const within = 2 * time.Minute

// running is a server under test.
type running struct {
	*server.Server
	addr    string
	stopped atomic.Bool
}

func newServer(t *testing.T, opts server.Options) *running {
	t.Helper()
	if opts.Listener == nil {
		opts.Listener = listen(t, "127.0.0.1:0")
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	failed := make(chan error, 1)
	opts.Failed = failed
	if opts.Handler == nil {
		opts.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	}
	opts.Handshakes = 300 * time.Millisecond
	s, err := server.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Server: s, addr: opts.Listener.Addr().String()}
	t.Cleanup(func() {
		r.stop(t)
		select {
		case err := <-failed:
			t.Errorf("the server failed: %v", err)
		default:
		}
	})
	return r
}

// stop stops the server; it may be called again.
func (r *running) stop(t *testing.T) {
	t.Helper()
	if r.stopped.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown() = %v, want nil", err)
	}
}

func listen(t *testing.T, address string) *server.Listener {
	t.Helper()
	l, err := server.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects as a client whose patience a busy machine does not try.
func dial(t *testing.T, address string) (net.Conn, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, within)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(within))
	}
	return conn, err
}

// get sends a request and reads the answer.
func get(conn net.Conn) (closes bool, err error) {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK && err == nil {
		err = fmt.Errorf("answer %s, want 200", response.Status)
	}
	return response.Close, errors.Join(err, response.Body.Close())
}

// TestStopResetsNoConnection holds that a server which stops answers every client that
// has connected, when 16 clients connect anew for each request.
func TestStopResetsNoConnection(t *testing.T) {
	t.Parallel()
	for range 10 {
		r := newServer(t, server.Options{})
		var answered atomic.Int64
		var clients sync.WaitGroup
		for range 16 {
			clients.Go(func() {
				for {
					conn, err := dial(t, r.addr)
					if errors.Is(err, syscall.ECONNREFUSED) {
						return
					}
					if err == nil {
						_, err = get(conn)
						_ = conn.Close()
					}
					if err != nil {
						t.Errorf("a client that had connected: %v", err)
						return
					}
					answered.Add(1)
				}
			})
		}
		testenv.Await(t, "requests", func() bool { return answered.Load() >= 300 })
		r.stop(t)
		clients.Wait()
	}
}

// TestStopAnswersWhoHasConnected holds that a client which connected before the stop
// and sends its request during the stop is answered.
func TestStopAnswersWhoHasConnected(t *testing.T) {
	t.Parallel()
	r := newServer(t, server.Options{})
	var conns []net.Conn
	for range 200 {
		conn, err := dial(t, r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		conns = append(conns, conn)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop(t)
	}()
	awaitClosed(t, r.addr)
	for _, conn := range conns {
		closes, err := get(conn)
		if err != nil || !closes {
			t.Errorf("a request during the stop: Connection: close is %v, %v, want true and the status 200", closes, err)
		}
	}
	<-stopped
}

// awaitClosed waits until connections are refused.
func awaitClosed(t *testing.T, address string) {
	t.Helper()
	testenv.Await(t, "the listener to be closed", func() bool {
		conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// TestPanicIsLogged checks that a panic is one record at error with its stack, and that the
// connection is closed without an answer.
func TestPanicIsLogged(t *testing.T) {
	t.Parallel()
	records, listener := make(chan string, 10), listen(t, "127.0.0.1:0")
	s, err := server.Start(server.Options{
		Listener: listener, Failed: make(chan error, 1),
		Logger: slog.New(slog.NewJSONHandler(writerFunc(func(p []byte) { records <- string(p) }), nil)),
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/abort" {
				panic(http.ErrAbortHandler)
			}
			panic("nothing left")
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.WithoutCancel(t.Context())) })
	for _, path := range []string{"/abort", "/panic"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := http.DefaultTransport.RoundTrip(request); err == nil {
			_ = response.Body.Close()
			t.Errorf("GET %s is answered with %d", path, response.StatusCode)
		}
	}
	record := <-records
	if !strings.Contains(record, `"level":"ERROR"`) || !strings.Contains(record, "nothing left") || !strings.Contains(record, "server_test.go") {
		t.Errorf("the panic is logged as %s", record)
	}
	if len(records) > 0 {
		t.Errorf("a second record: %s", <-records)
	}
}

// writerFunc is a function as an io.Writer.
type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }
