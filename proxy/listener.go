package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

// listener is one address the application calls.
type listener struct {
	key    string
	socket net.Listener
	server *http.Server
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
	for _, place := range next.places() {
		if s.listeners[place.key] != nil {
			continue
		}
		l, err := s.listen(place)
		if err != nil {
			for _, o := range opened {
				_ = o.socket.Close()
				delete(s.listeners, o.key)
			}
			return nil, err
		}
		s.listeners[place.key] = l
		opened = append(opened, l)
	}
	return opened, nil
}

// place is an address that somebody listens on.
type place struct {
	key     string // what tells it from others; the address, unless its port is 0
	address string
}

func (s *Snapshot) places() []place {
	proxy := s.document.Listen.Proxy
	list := []place{{listenKey("", proxy), proxy}}
	for _, a := range s.ordered {
		if a.listen != "" {
			list = append(list, place{listenKey(a.identity.Name, a.listen), a.listen})
		}
	}
	return list
}

// listenKey tells listeners apart. Port 0 is another free port for everybody who asks.
func listenKey(adapter, address string) string {
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		return adapter + "@" + address
	}
	return address
}

func (s *Server) listen(p place) (*listener, error) {
	socket, err := net.Listen("tcp", p.address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	l := &listener{key: p.key, socket: socket}
	l.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, p.key) }),
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: keepAliveTimeout, MaxHeaderBytes: maxRequestHeader,
		BaseContext:                  func(net.Listener) context.Context { return s.base },
		ErrorLog:                     telemetry.Library(s.log()),
		DisableGeneralOptionsHandler: true,
	}
	return l, nil
}

// serve runs until close. The socket took connections from the moment it was bound.
func (l *listener) serve(log *slog.Logger) {
	if err := l.server.Serve(problemListener{l.socket}); !errors.Is(err, http.ErrServerClosed) {
		log.Error("listener stopped", "address", l.socket.Addr().String(), "error", err.Error())
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
	for _, p := range next.places() {
		used[p.key] = true
	}
	for key, l := range s.listeners {
		if !used[key] {
			delete(s.listeners, key)
			go func() { _ = l.server.Shutdown(s.base) }()
		}
	}
}

// Address returns where an adapter's own address, or for "" the shared one, is really bound, which differs from the
// configured one when its port is 0; nil when there is none.
func (s *Server) Address(adapter string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := s.snapshot.Load()
	configured := snapshot.document.Listen.Proxy
	if a := snapshot.byName[adapter]; a != nil {
		configured = a.listen
	}
	if l := s.listeners[listenKey(adapter, configured)]; l != nil {
		return l.socket.Addr()
	}
	return nil
}
