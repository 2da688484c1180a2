//go:build !linux

package admin

import "net"

// peer is not known here.
func peer(*net.UnixConn) string { return "unix" }
