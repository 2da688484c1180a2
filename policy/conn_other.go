//go:build !linux

package policy

import "syscall"

// closedByPeer is not known here; the end of an idle connection is noticed by net/http alone.
func closedByPeer(syscall.RawConn) bool { return false }
