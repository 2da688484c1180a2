package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// listener is one address the application calls.
type listener struct {
	address string
	socket  net.Listener
	server  *http.Server
}

const (
	readHeaderTimeout = 30 * time.Second
	keepAliveTimeout  = 5 * time.Minute
	maxRequestHeader  = 256 << 10
	closeGrace        = time.Second // for answers being written when a listener closes
)

// open binds the addresses of next that are not bound yet. Either all are, or none of the new ones.
func (s *Server) open(next *Snapshot) ([]*listener, error) {
	var opened []*listener
	for _, address := range next.addresses() {
		if s.listeners[address] != nil {
			continue
		}
		l, err := s.listen(address, address == next.document.Listen.Proxy)
		if err != nil {
			for _, o := range opened {
				_ = o.socket.Close()
				delete(s.listeners, o.address)
			}
			return nil, err
		}
		s.listeners[address] = l
		opened = append(opened, l)
	}
	return opened, nil
}

func (s *Snapshot) addresses() []string {
	list := []string{s.document.Listen.Proxy}
	for _, a := range s.ordered {
		if a.listen != "" {
			list = append(list, a.listen)
		}
	}
	return list
}

func (s *Server) listen(address string, shared bool) (*listener, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	own := address
	if shared {
		own = ""
	}
	l := &listener{address: address, socket: socket}
	l.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, own) }),
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: keepAliveTimeout, MaxHeaderBytes: maxRequestHeader,
		BaseContext:                  func(net.Listener) context.Context { return s.base },
		ErrorLog:                     slog.NewLogLogger(s.log().Handler(), slog.LevelDebug),
		DisableGeneralOptionsHandler: true,
	}
	return l, nil
}

// serve runs until close. The socket took connections from the moment it was bound.
func (l *listener) serve(log *slog.Logger) {
	if err := l.server.Serve(problemListener{l.socket}); !errors.Is(err, http.ErrServerClosed) {
		log.Error("listener stopped", "address", l.address, "error", err.Error())
	}
}

// close stops listening. Gracefully, answers being written are finished first.
func (l *listener) close(gracefully bool) {
	if gracefully {
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		if l.server.Shutdown(ctx) == nil {
			return
		}
	}
	_ = l.server.Close()
}

// closeUnused closes the addresses that next no longer names. Calls in flight on them finish in the background.
func (s *Server) closeUnused(next *Snapshot) {
	used := map[string]bool{}
	for _, address := range next.addresses() {
		used[address] = true
	}
	for address, l := range s.listeners {
		if !used[address] {
			delete(s.listeners, address)
			go func() { _ = l.server.Shutdown(s.base) }()
		}
	}
}

// Address returns where a configured address is really bound, which differs when its port is 0; nil when it is not.
func (s *Server) Address(configured string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listeners[configured]; l != nil {
		return l.socket.Addr()
	}
	return nil
}
