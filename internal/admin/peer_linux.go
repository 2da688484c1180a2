package admin

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peer is the user and the process that opened a connection, as the kernel knows them.
func peer(conn *net.UnixConn) string {
	raw, err := conn.SyscallConn()
	if err != nil {
		return "unix"
	}
	who := "unix"
	err = raw.Control(func(fd uintptr) {
		if c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = fmt.Sprintf("unix uid=%d pid=%d", c.Uid, c.Pid)
		}
	})
	if err != nil {
		return "unix"
	}
	return who
}
