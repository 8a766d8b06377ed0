package server

import "golang.org/x/sys/unix"

// dropSYN is a classic BPF program over a TCP segment: it drops those with SYN and
// without ACK. Segments of handshakes in progress and of connections pass.
var dropSYN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},                    // the flags, RFC 9293 section 3.1
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: tcpSYN | tcpACK},      // of these SYN and ACK
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: tcpSYN, Jt: 0, Jf: 1}, // SYN alone
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},                                   // drop
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},                          // keep the whole segment
}

const (
	tcpSYN = 0x02
	tcpACK = 0x10
)

// ignoreNew makes the kernel drop the SYNs of new connections to this socket.
func (l *Listener) ignoreNew() error {
	return l.control(func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(dropSYN)), Filter: &dropSYN[0]}) //nolint:gosec // five instructions
	})
}

// waiting returns how many connections wait to be accepted.
func (l *Listener) waiting() (n int, err error) {
	err = l.control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = int(info.Unacked) // of a listening socket: the length of its accept queue
		}
		return err
	})
	return n, err
}

func (l *Listener) control(call func(fd int) error) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var called error
	if err := raw.Control(func(fd uintptr) { called = call(int(fd)) }); err != nil {
		return err
	}
	return called
}
