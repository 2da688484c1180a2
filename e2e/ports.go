package e2e

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// Ports are taken below the range from which systems give out ephemeral ones, so that no outgoing connection of
// another test can sit on a port between its choice and the sidecar's bind, or while a sidecar restarts.
const (
	firstPort = 12000
	portCount = 20000
)

// nextPort starts anywhere, so that two test processes on one machine seldom meet.
var nextPort = func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(rand.Uint32N(portCount))
	return n
}()

// FreeAddr returns a loopback address on which nothing listens and which no other caller in this process was given.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range portCount {
		port := firstPort + int(nextPort.Add(1)%portCount)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatalf("close %s: %v", addr, err)
		}
		return addr
	}
	t.Fatalf("no port from %d on is free", firstPort)
	return ""
}
