package idempotency_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A lossy line carries commands to Redis, and its replies only while it is not mute.
type lossy struct {
	address string
	mute    atomic.Bool
	heard   atomic.Int64 // bytes of commands carried

	mu    sync.Mutex
	conns []net.Conn
}

func newLossy(t *testing.T, to string) *lossy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &lossy{address: listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			l.keep(from, server)
			running.Go(func() { carry(server, from, func(n int) bool { l.heard.Add(int64(n)); return true }) })
			running.Go(func() { carry(from, server, func(int) bool { return !l.mute.Load() }) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.hangUp()
		running.Wait()
	})
	return l
}

func (l *lossy) keep(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conns...)
}

func (l *lossy) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// carry copies what pass lets through.
func carry(to, from net.Conn, pass func(n int) bool) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && pass(n) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
