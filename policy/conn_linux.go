package policy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// closedByPeer reports whether the other side has closed its end: nothing that is sent will be answered. It sees the
// end also behind bytes that nobody has read yet, as TLS leaves them.
func closedByPeer(raw syscall.RawConn) bool {
	closed := false
	err := raw.Control(func(fd uintptr) {
		poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll[:], 0)
		closed = err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || closed
}
