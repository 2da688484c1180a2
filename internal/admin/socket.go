package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// UnixScheme begins the address of a Unix socket, as in unix:/run/sidecar/admin.sock.
const UnixScheme = "unix:"

// Listen binds the address of the admin listener: host:port, or a Unix socket that only this process's user may use.
func Listen(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, UnixScheme)
	if !ok {
		return net.Listen("tcp", address)
	}
	if err := vacant(path); err != nil {
		return nil, err
	}
	return bindSocket(path)
}

// vacant reports whether a path is free, or holds a socket at which nobody answers any more.
func vacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already and is no socket; it is left as it is", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("another process answers at %s", path)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// bindSocket makes the socket in a folder that nobody else can enter, and moves it to its place when its mode is right:
// at no time can anybody else connect to it. The move replaces one that was left behind.
func bindSocket(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".a")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	hidden := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	s := &socket{UnixListener: l, path: path}
	if err = os.Chmod(hidden, 0o600); err == nil {
		s.info, err = os.Lstat(hidden)
	}
	if err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return s, nil
}

// socket is a listener that takes its path away when it is closed, unless the path is another's by then.
type socket struct {
	*net.UnixListener
	path string
	info os.FileInfo
}

// Addr is where clients find the socket, as the configuration and the commands write it.
func (s *socket) Addr() net.Addr { return socketAddr(s.path) }

type socketAddr string

// Network implements net.Addr.
func (socketAddr) Network() string { return "unix" }

// String implements net.Addr.
func (a socketAddr) String() string { return UnixScheme + string(a) }

// Close implements net.Listener.
func (s *socket) Close() error {
	if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.info) {
		_ = os.Remove(s.path)
	}
	return s.UnixListener.Close()
}

type peerKey struct{}

// ConnContext remembers who is at the other end of a Unix socket, for the audit. It is for http.Server.ConnContext.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*net.UnixConn); ok {
		return context.WithValue(ctx, peerKey{}, peer(c))
	}
	return ctx
}
