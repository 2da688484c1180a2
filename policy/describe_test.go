package policy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/egress"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 443}, Err: err}
}

// Every way an attempt breaks has a word of RFC 9209 section 2.3 and tells no address or path of this host.
func TestBrokenAttemptsAreDescribed(t *testing.T) {
	verification := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for name, c := range map[string]struct {
		err  error
		kind problem.Kind
		code string
	}{
		"dial refused":       {dialError(os.NewSyscallError("connect", syscall.ECONNREFUSED)), problem.UpstreamUnreachable, "connection_refused"},
		"dial timeout":       {dialError(os.ErrDeadlineExceeded), problem.UpstreamUnreachable, "connection_timeout"},
		"no route":           {dialError(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), problem.UpstreamUnreachable, "destination_ip_unroutable"},
		"egress":             {dialError(egress.ErrDenied), problem.UpstreamUnreachable, "destination_ip_prohibited"},
		"no such name":       {dialError(&net.DNSError{Err: "no such host", Name: "erp.internal", IsNotFound: true}), problem.UpstreamUnreachable, "dns_error"},
		"name server down":   {dialError(&net.DNSError{Err: "i/o timeout", Name: "erp.internal", IsTimeout: true}), problem.UpstreamUnreachable, "dns_timeout"},
		"unknown authority":  {verification(x509.UnknownAuthorityError{}), problem.UpstreamUnreachable, "tls_certificate_error"},
		"another host's":     {verification(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "erp.internal"}), problem.UpstreamUnreachable, "tls_certificate_error"},
		"an expired one":     {verification(x509.CertificateInvalidError{Reason: x509.Expired}), problem.UpstreamUnreachable, "tls_certificate_error"},
		"not TLS":            {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, problem.UpstreamUnreachable, "tls_protocol_error"},
		"a TLS alert":        {&net.OpError{Op: "remote error", Err: tls.AlertError(42)}, problem.UpstreamUnreachable, "tls_protocol_error"},
		"a slow handshake":   {errors.New("net/http: TLS handshake timeout"), problem.UpstreamUnreachable, "tls_protocol_error"},
		"reset":              {&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, problem.UpstreamUnreachable, "connection_terminated"},
		"broken pipe":        {&net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}, problem.UpstreamUnreachable, "connection_terminated"},
		"closed, no answer":  {io.EOF, problem.UpstreamUnreachable, "connection_terminated"},
		"closed while idle":  {errors.New("http: server closed idle connection"), problem.UpstreamUnreachable, "connection_terminated"},
		"HTTP/2 lost":        {errors.New("http2: client connection lost"), problem.UpstreamUnreachable, "connection_terminated"},
		"truncated":          {io.ErrUnexpectedEOF, problem.BadUpstreamResponse, "http_response_incomplete"},
		"malformed":          {errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "x"`), problem.BadUpstreamResponse, "http_protocol_error"},
		"not a final status": {errNotFinal, problem.BadUpstreamResponse, "http_protocol_error"},
	} {
		for wrapping, err := range map[string]error{"bare": c.err, "wrapped": fmt.Errorf("send: %w", &url.Error{Op: "Post", URL: "https://erp.internal/", Err: c.err})} {
			p := describe(newTLSParty("erp.example.com", nil).explain(err))
			if p.Kind != c.kind || p.ProxyError != c.code {
				t.Errorf("%s, %s: %s %s, want %s %s", name, wrapping, p.Kind, p.ProxyError, c.kind, c.code)
			}
			if p.Detail == "" || strings.Contains(p.Detail, "10.1.2.3") || strings.Contains(p.Detail, "erp.internal") {
				t.Errorf("%s: the application is told %q", name, p.Detail)
			}
		}
	}
}

func TestATimeOutIsOfTheAttemptOrTheWholeCall(t *testing.T) {
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	<-over.Done()
	tr := &transmitter{timeout: 3}
	for _, c := range []struct {
		total bool
		want  problem.Kind
	}{{false, problem.UpstreamTimeout}, {true, problem.TotalTimeout}} {
		if err := tr.failed(over, testExchange(t, "GET", "/", ""), over.Err(), c.total); kindOf(err) != c.want {
			t.Errorf("total %v: %v", c.total, err)
		}
	}
	x := testExchange(t, "GET", "/", "")
	cancelable(x)()
	if err := tr.failed(over, x, over.Err(), false); err != ErrCanceled {
		t.Errorf("the application left: %v", err)
	}
}

// net/http quotes what the external system sent, which may repeat a credential, a body or a query.
func TestWhatTheProviderSentIsNotLogged(t *testing.T) {
	for _, raw := range []string{"HTTP/1.1 200 OK\r\nBearer CANARY\r\n\r\n", "HTTP/1.1 CANARY OK\r\n\r\n", "CANARY\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: CANARY\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 22CANARY\r\n\r\nx"} {
		u := upstream.Always(t, upstream.Malformed([]byte(raw)))
		x := testExchange(t, "GET", "/", "")
		_, err := newRig(t, u.URL(), quick(retryOff)).next(x)
		if err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
