package upstream

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// exchange is one request and its answer in the making.
type exchange struct {
	conn *conn
	req  *http.Request
	seen *Seen
	gone chan struct{}
	left bool
}

// leave notes that the client went away before it had its answer.
func (x *exchange) leave() {
	if !x.left {
		x.left = true
		close(x.gone)
	}
}

// send writes s and reports whether the client was there to take it.
func (x *exchange) send(s string) bool {
	if _, err := io.WriteString(x.conn.rw, s); err != nil {
		x.leave()
		return false
	}
	return true
}

// linger waits until the client leaves or the test ends.
func (x *exchange) linger() {
	_, _ = io.Copy(io.Discard, x.conn.br)
	select {
	case <-x.conn.server.done:
	default:
		x.leave()
	}
}

// watch runs wait while it looks for a client that leaves, and reports whether the client is still there. wait must
// return soon after its channel is closed.
func (x *exchange) watch(wait func(gone <-chan struct{}) bool) bool {
	gone, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := x.conn.br.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			close(gone)
		}
	}()
	ok := wait(gone)
	_ = x.conn.rw.SetReadDeadline(time.Unix(1, 0)) // wakes the Peek, which keeps what it has read
	<-ended
	_ = x.conn.rw.SetReadDeadline(time.Time{})
	select {
	case <-gone:
		x.leave()
		return false
	case <-x.conn.server.done:
		return false
	default:
		return ok
	}
}
