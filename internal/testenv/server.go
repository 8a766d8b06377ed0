//go:build unix

package testenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	host = "127.0.0.1"

	// startTimeout limits a start, crash recovery included.
	startTimeout = 60 * time.Second

	// stopTimeout limits a clean stop. The server is killed after it.
	stopTimeout = 20 * time.Second

	// startTries is how many ports a first start tries when others take them.
	startTries = 5

	pollEvery = 5 * time.Millisecond
)

// errNotRunning is returned for a server that was stopped or killed.
var errNotRunning = errors.New("server is not running")

// Server is a program that listens on a loopback port. Safe for concurrent use.
type Server struct {
	folder *folder
	name   string         // prefix of its files in the folder
	stop   syscall.Signal // requests a clean stop
	drain  time.Duration  // time allowed for a clean stop; 0 means stopTimeout
	files  []*os.File     // inherited by the program

	// launch configures the program for the port and returns its command line.
	launch func(port int) ([]string, error)
	// ready reports whether the process with this id answers queries.
	ready func(ctx context.Context, addr string, pid int) (bool, error)

	mu      sync.Mutex
	port    int      // 0 until the first start, then fixed
	process *process // nil until the first start
}

// Addr returns the address as HOST:PORT. It does not change when the server is
// stopped and started.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return address(s.port)
}

// Pid returns the process id of the server, for Postgres that of the postmaster. It
// returns 0 when the server is not running.
func (s *Server) Pid() int {
	p, err := s.running()
	if err != nil {
		return 0
	}
	return p.pid
}

// Start starts a stopped or killed server again, on the same port and with the same
// data. It returns once the server answers queries. The error includes the end of the
// log.
func (s *Server) Start(ctx context.Context) error {
	if _, err := s.running(); err == nil {
		return fmt.Errorf("start %s: it is already running", s.name)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.port == 0
	var err error
	for range startTries {
		if first {
			if s.port, err = FreePort(ctx); err != nil {
				return fmt.Errorf("start %s: %w", s.name, err)
			}
		}
		if err = s.startOnce(ctx); err == nil {
			return nil
		}
		// A program that does not use FreePort may have taken the port.
		if !taken(ctx, s.port) && !strings.Contains(s.logEnd(), "ddress already in use") {
			break
		}
	}
	return fmt.Errorf("start %s on port %d: %w\n%s", s.name, s.port, err, s.logEnd())
}

func (s *Server) startOnce(ctx context.Context) error {
	argv, err := s.launch(s.port)
	if err != nil {
		return err
	}
	if s.process, err = s.folder.start(s.name, s.files, argv...); err != nil {
		return err
	}
	err = poll(ctx, func() (bool, error) {
		if s.process.ended() {
			return false, fmt.Errorf("it ended: %w", s.process.err)
		}
		return s.ready(ctx, address(s.port), s.process.pid)
	})
	if err != nil && !s.process.ended() {
		err = errors.Join(err, s.process.kill(context.WithoutCancel(ctx)))
	}
	return err
}

// Stop stops the server cleanly, or kills it when that takes too long. Its data is
// kept. Stop does nothing when the server is not running.
func (s *Server) Stop() error {
	err := s.do(func(ctx context.Context, p *process) error {
		if err := errors.Join(p.thaw(ctx), p.signal(s.stop, p.pid)); err != nil {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(cmp.Or(s.drain, stopTimeout)):
			return p.kill(ctx)
		}
	})
	if err != nil && !errors.Is(err, errNotRunning) {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	return nil
}

// Kill ends the server and its children at once, like the loss of its machine:
// connections break and the port closes. The data stays as it is on disk.
func (s *Server) Kill() error {
	if err := s.do(func(ctx context.Context, p *process) error { return p.kill(ctx) }); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	return nil
}

// Signal sends a signal to the process of the server, for Postgres to the postmaster.
func (s *Server) Signal(sig syscall.Signal) error {
	if err := s.do(func(_ context.Context, p *process) error { return p.signal(sig, p.pid) }); err != nil {
		return fmt.Errorf("signal to %s: %w", s.name, err)
	}
	return nil
}

// Wait returns how the last process of the server ended, as exec.Cmd.Wait does. It returns
// once the process has ended.
func (s *Server) Wait() error {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return fmt.Errorf("wait for %s: %w", s.name, errNotRunning)
	}
	<-p.done
	return p.err
}

// Freeze stops the server and its children with SIGSTOP. Connections stay open without
// answers, and the kernel still accepts new ones.
func (s *Server) Freeze() error {
	if err := s.do(func(ctx context.Context, p *process) error { return p.freeze(ctx) }); err != nil {
		return fmt.Errorf("freeze %s: %w", s.name, err)
	}
	return nil
}

// Thaw continues a frozen server.
func (s *Server) Thaw() error {
	if err := s.do(func(ctx context.Context, p *process) error { return p.thaw(ctx) }); err != nil {
		return fmt.Errorf("thaw %s: %w", s.name, err)
	}
	return nil
}

// do acts on the running process. It has its own deadline, so that the end of a test
// does not interrupt it.
func (s *Server) do(act func(context.Context, *process) error) error {
	p, err := s.running()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout+cmp.Or(s.drain, stopTimeout))
	defer cancel()
	return act(ctx, p)
}

func (s *Server) running() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.ended() {
		return nil, errNotRunning
	}
	return s.process, nil
}

// logEnd returns the last lines of the log.
func (s *Server) logEnd() string {
	log, err := os.Open(s.folder.join(s.name + ".log"))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = log.Close() }()
	const most = 4 << 10
	if info, err := log.Stat(); err == nil {
		_, _ = log.Seek(max(0, info.Size()-most), io.SeekStart)
	}
	end, err := io.ReadAll(log)
	if err != nil {
		return err.Error()
	}
	return string(end)
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// FreePort returns a port that is free, and keeps it for the calling process until the
// process ends: no later call returns it, in this process or in another one of the same
// user. The port is below the range that systems use for outgoing connections, so that a
// stopped server finds its port free when it starts again.
func FreePort(ctx context.Context) (int, error) {
	const first, next = 12000, 30000
	claims := filepath.Join(os.TempDir(), fmt.Sprintf("ports-of-terse-%d", os.Getuid()))
	if err := os.MkdirAll(claims, 0o700); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	for range 100 {
		port := first + rand.IntN(next-first) //nolint:gosec // it need not be a secret
		claimed, err := claim(filepath.Join(claims, strconv.Itoa(port)))
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		if claimed && !taken(ctx, port) {
			return port, ctx.Err()
		}
	}
	return 0, errors.New("find a free port: 100 tried ports are all in use")
}

// claim locks a file until the process ends, and reports whether the lock was free. The
// lock belongs to a descriptor that is never closed and that child processes do not get.
func claim(path string) (bool, error) {
	fd, err := syscall.Open(path, syscall.O_CREAT|syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return false, fmt.Errorf("claim %s: %w", path, err)
	}
	for {
		err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			err = nil
		}
		return false, errors.Join(err, syscall.Close(fd))
	}
}

// taken reports whether a port is in use.
func taken(ctx context.Context, port int) bool {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address(port))
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}

// poll calls done until it reports true, fails or the context ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollEvery):
		}
	}
}
