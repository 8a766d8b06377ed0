package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstSocket is the file descriptor of the first socket that systemd passes, see
// sd_listen_fds(3).
const firstSocket = 3

// Inherited returns the listening TCP sockets that systemd has passed to this process,
// by the FileDescriptorName of their unit; nil if systemd passed none. systemd keeps the
// sockets open while the process restarts, so that new clients wait for the next process.
// getenv reads the environment. Call Inherited once.
func Inherited(getenv func(string) string) (map[string]*Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil // LISTEN_FDS is for another process, or not set
	}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count < 1 {
		return nil, fmt.Errorf("LISTEN_FDS: %q must be a whole number above 0", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	if len(names) != count {
		return nil, fmt.Errorf("LISTEN_FDNAMES: %q must name %d sockets: set FileDescriptorName in the socket units", getenv("LISTEN_FDNAMES"), count)
	}
	sockets := map[string]*Listener{}
	for i, name := range names {
		if sockets[name] != nil {
			return nil, fmt.Errorf("LISTEN_FDNAMES: two sockets are named %q", name)
		}
		if sockets[name], err = inherit(firstSocket+i, name); err != nil {
			return nil, fmt.Errorf("socket %q: %w", name, err)
		}
	}
	return sockets, nil
}

// inherit takes over one socket.
func inherit(fd int, name string) (*Listener, error) {
	file := os.NewFile(uintptr(fd), name)
	if file == nil {
		return nil, fmt.Errorf("file descriptor %d is not open", fd)
	}
	defer func() { _ = file.Close() }()
	l, err := net.FileListener(file) // a copy of the file descriptor, closed on exec
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("must be a TCP socket, not %s", l.Addr().Network())
	}
	return &Listener{TCPListener: tcp, inherited: true}, nil
}
