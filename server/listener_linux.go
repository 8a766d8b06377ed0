package server

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxTTL is the greatest time to live of a packet. Systems send 64 or 128, so a socket that
// requires maxTTL drops their packets (RFC 5082).
const maxTTL = 255

// ignoreNew makes the kernel drop the SYNs of new connections to this socket. It needs no
// privilege, unlike a BPF filter on some systems. Handshakes in progress complete.
func (l *Listener) ignoreNew() error {
	l.ignoring.Store(true)
	return control(l.TCPListener, func(fd int) error { return requireTTL(fd, maxTTL) })
}

// Accept implements net.Listener. A connection whose handshake completes after ignoreNew
// inherits the required time to live. The client repeats what was dropped until then.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	if l.ignoring.Load() {
		// An error is one of a connection that ended already.
		_ = control(conn, func(fd int) error { return requireTTL(fd, 0) })
	}
	return conn, nil
}

// requireTTL sets the least time to live of packets to a socket. A socket of IPv6 may also get
// packets of IPv4.
func requireTTL(fd, least int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err == nil && family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, least)
	}
	return errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, least))
}

// waiting returns how many connections wait to be accepted.
func (l *Listener) waiting() (n int, err error) {
	err = control(l.TCPListener, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = int(info.Unacked) // of a listening socket: the length of its accept queue
		}
		return err
	})
	return n, err
}

func control(c syscall.Conn, call func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var called error
	if err := raw.Control(func(fd uintptr) { called = call(int(fd)) }); err != nil {
		return err
	}
	return called
}
