//go:build e2e

package servers

import (
	"context"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// podNetwork is a network of its own, as a pod has one: its localhost is nobody else's.
type podNetwork struct{ file *os.File }

func newPodNetwork(t *testing.T) *podNetwork {
	t.Helper()
	n := new(podNetwork)
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never undone: the thread ends with this function
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = loopbackUp()
		}
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatalf("make a network: %v; this test needs root", err)
	}
	t.Cleanup(func() { _ = n.file.Close() })
	return n
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// inside runs f on a thread that is in the network: sockets and processes that f makes are.
func (n *podNetwork) inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func (n *podNetwork) listen(t *testing.T) (socket net.Listener) {
	t.Helper()
	must(t, n.inside(func() (err error) {
		socket, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	}))
	return socket
}

// client makes its connections inside.
func (n *podNetwork) client(t *testing.T) *http.Client {
	t.Helper()
	dial := func(ctx context.Context, kind, address string) (c net.Conn, err error) {
		err = n.inside(func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, kind, address)
			return err
		})
		return c, err
	}
	c := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	t.Cleanup(c.CloseIdleConnections)
	return c
}
