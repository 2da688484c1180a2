package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Unreachable is the error of a call that found no sidecar.
type Unreachable struct {
	Address string
	Hint    string
	Err     error
}

// Error says where the sidecar was looked for, what came of it, and what to do.
func (u *Unreachable) Error() string {
	return fmt.Sprintf("could not reach the sidecar at %s: %s; is it running? %s", u.Address, cause(u.Err), u.Hint)
}

// Unwrap returns what went wrong.
func (u *Unreachable) Unwrap() error { return u.Err }

// cause says an error of the network without the layers net/http wraps around it.
func cause(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "no such host"
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer in time"
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call.Err.Error()
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return err.Error()
}

// Address checks host:port as it is given on the command line. Without a host it is this machine, as a listener's
// address is written.
func Address(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("%q is not an address such as 127.0.0.1:9901", s)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// direct is a client that goes straight to the address it is given: through no proxy of the environment, and nowhere
// else when it is redirected.
func direct(network, address string) *http.Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
			DisableKeepAlives: true, // a command makes few calls, and a fresh connection cannot be a stale one
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Ready asks the probes listener at address whether the sidecar serves. Its error is *Unreachable when nothing
// answers there.
func Ready(ctx context.Context, address, hint string) (bool, error) {
	dialled, err := Address(address)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+dialled+"/readyz", nil)
	if err != nil {
		return false, err
	}
	response, err := direct("tcp", dialled).Do(request)
	if err != nil {
		return false, &Unreachable{Address: dialled, Hint: hint, Err: err}
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10))
	switch response.StatusCode {
	case http.StatusOK, http.StatusServiceUnavailable:
		return response.StatusCode == http.StatusOK, nil
	}
	err = fmt.Errorf("what answers there (status %d) is not a sidecar's probes listener", response.StatusCode)
	return false, &Unreachable{Address: dialled, Hint: hint, Err: err}
}
