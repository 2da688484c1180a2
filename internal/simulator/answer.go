package simulator

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
)

// answer is what the system has decided to say.
type answer struct {
	status int
	header http.Header
	body   any // encoded as JSON
}

// way is how an answer reaches the caller, or fails to.
type way int

const (
	whole way = iota
	half
	dropped
	reset
	hanging
)

func statusError(status int, code, message string) answer {
	return answer{status: status, body: map[string]any{"error": map[string]string{"code": code, "message": message}}}
}

func notFound() answer { return statusError(http.StatusNotFound, "not_found", "no such resource") }

func deliver(w http.ResponseWriter, r *http.Request, a answer, how way) {
	switch how {
	case whole, half:
		send(w, a, how == half)
	case hanging:
		<-r.Context().Done()
		hangUp(w, false)
	default:
		hangUp(w, how == reset)
	}
}

// send writes the answer. net/http closes a connection on which less was written than was promised, which is all that
// a truncated answer needs.
func send(w http.ResponseWriter, a answer, cut bool) {
	body, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, "the simulator made an answer that is not JSON", http.StatusInternalServerError)
		return
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if cut {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body) // a caller that left will not read it
}

// hangUp closes the connection without an answer, by a reset when asked to.
func hangUp(w http.ResponseWriter, abruptly bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the server is closing
	}
	if tcp, ok := conn.(*net.TCPConn); ok && abruptly {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
