package policy

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/fsm-integrations/sidecar/internal/egress"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

// describe says in the contract's words why an attempt broke. What it tells the application names the check that
// failed, of TLS with the host's configured name, and never an address or a path of this host; the cause goes to the log.
func describe(err error) *problem.Problem {
	if p := describeTLS(err); p != nil {
		return p
	}
	if p := describeDial(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bad("http_response_incomplete", "The external system's response ended before it was complete.")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), isClosedIdle(err):
		return unreachable("connection_terminated", "The external system closed the connection without an answer.")
	}
	if opErr := (*net.OpError)(nil); errors.As(err, &opErr) {
		return unreachable("connection_terminated", "The connection to the external system broke.")
	}
	return bad("http_protocol_error", "The external system's response is not valid HTTP.")
}

// isClosedIdle recognises an error net/http does not export.
func isClosedIdle(err error) bool {
	return strings.Contains(err.Error(), "server closed idle connection") || strings.Contains(err.Error(), "http2: client connection lost")
}

func describeTLS(err error) *problem.Problem {
	if e := (*tlsError)(nil); errors.As(err, &e) {
		code := "tls_protocol_error"
		if e.certificate {
			code = "tls_certificate_error"
		}
		return unreachable(code, e.told)
	}
	if tlsText(err) != "" { // in the middle of an answer
		return unreachable("tls_protocol_error", "The TLS connection with the external system failed.")
	}
	return nil
}

// failureText is what is remembered of a failed attempt: for TLS also which check failed.
func failureText(err error) string {
	text := attemptError(err)
	if e := (*tlsError)(nil); errors.As(err, &e) {
		text += ": " + e.said
	}
	return text
}

func describeDial(err error) *problem.Problem {
	if errors.Is(err, egress.ErrDenied) {
		p := unreachable("destination_ip_prohibited", "The external system's address is not allowed for this adapter.")
		p.Final = true
		return p
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		if dns.IsTimeout {
			return unreachable("dns_timeout", "The external system's host name could not be resolved in time.")
		}
		return unreachable("dns_error", "The external system's host name could not be resolved.")
	}
	opErr := (*net.OpError)(nil)
	if !errors.As(err, &opErr) || opErr.Op != "dial" {
		return nil
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return unreachable("connection_refused", "The external system refused the connection.")
	case opErr.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return unreachable("connection_timeout", "The external system could not be connected to in time.")
	}
	return unreachable("destination_ip_unroutable", "The external system could not be connected to.")
}

// unquoted is an error of the engine without what it quotes: net/http repeats the external system's bytes there, which
// may repeat a credential, a body or a query.
type unquoted struct{ error }

func (u unquoted) Error() string {
	text, _, _ := strings.Cut(u.error.Error(), `"`)
	return strings.TrimRight(text, " :")
}

func (u unquoted) Unwrap() error { return u.error }

func unreachable(code, detail string) *problem.Problem {
	p := problem.New(problem.UpstreamUnreachable, detail)
	p.ProxyError = code
	return p
}

func bad(code, detail string) *problem.Problem {
	p := problem.New(problem.BadUpstreamResponse, detail)
	p.ProxyError = code
	return p
}
