package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/oauth2"
)

// Result is what came of one attempt to get a token.
type Result string

// The results.
const (
	OK          Result = "ok"
	Secret      Result = "secret"      // the client secret could not be read; nobody was asked
	Unreachable Result = "unreachable" // no connection, or one that ended without an answer
	Timeout     Result = "timeout"     // no whole answer in time
	Unavailable Result = "unavailable" // 408, 429 or 5xx
	Rejected    Result = "rejected"    // the endpoint refused the client or what it asked for
	Invalid     Result = "invalid"     // the answer is no token that can be used
)

// Results lists every result.
func Results() []Result {
	return []Result{OK, Secret, Unreachable, Timeout, Unavailable, Rejected, Invalid}
}

// Failure says why there is no token. It holds no secret, no token and nothing of the endpoint's answer but its status
// and a registered error code: answers may repeat what was sent.
type Failure struct {
	Result  Result
	Status  int       // of the endpoint's answer; 0 without one
	Code    string    // registered error code of the answer, such as invalid_client; "" for any other
	RetryAt time.Time // when the endpoint is asked again

	wait  time.Duration // the endpoint's Retry-After
	cause error         // safe to print
}

// Error implements error.
func (f *Failure) Error() string {
	if f.cause == nil {
		return f.Detail()
	}
	return f.Detail() + ": " + f.cause.Error()
}

// Unwrap returns what Error says beyond Detail; nil when there is nothing.
func (f *Failure) Unwrap() error { return f.cause }

// Detail is what may be told to an application: which check failed, without addresses and references.
func (f *Failure) Detail() string {
	answered := "the token endpoint answered " + strconv.Itoa(f.Status)
	if f.Code != "" {
		answered += " " + f.Code
	}
	switch {
	case f.Result == Secret:
		return "the client secret could not be read"
	case f.Result == Unreachable:
		return "the token endpoint could not be reached"
	case f.Result == Timeout:
		return "the token endpoint did not answer in time"
	case f.Status != 0:
		return answered
	case f.cause == nil:
		return "the token endpoint's answer is not a token"
	}
	return "the token endpoint's answer cannot be used"
}

// codes are the registered error codes (RFC 6749 sections 5.2 and 4.1.2.1, RFC 8707 section 2). Any other text is the
// endpoint's own, and may be anything.
var codes = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
	"invalid_scope", "invalid_target", "access_denied", "server_error", "temporarily_unavailable"}

// failureOf takes from an error what is safe to print. golang.org/x/oauth2 puts the whole answer into its own.
func failureOf(ctx context.Context, err error) *Failure {
	if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) {
		return refusal(refused)
	}
	var timeout interface{ Timeout() bool }
	if ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
		return &Failure{Result: Timeout}
	}
	var broken *net.OpError
	var distrusted *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &distrusted):
		return &Failure{Result: Unreachable, cause: distrusted}
	case errors.As(err, &record):
		return &Failure{Result: Unreachable, cause: errors.New(record.Msg)}
	case errors.As(err, &broken):
		return &Failure{Result: Unreachable, cause: broken}
	case errors.Is(err, io.EOF):
		return &Failure{Result: Unreachable, cause: errors.New("it closed the connection")}
	}
	return &Failure{Result: Invalid}
}

func refusal(e *oauth2.RetrieveError) *Failure {
	f := &Failure{Result: Rejected, Status: e.Response.StatusCode, wait: retryAfter(e.Response.Header, time.Now())}
	if slices.Contains(codes, e.ErrorCode) {
		f.Code = e.ErrorCode
	}
	switch {
	case f.Status == http.StatusRequestTimeout, f.Status == http.StatusTooManyRequests, f.Status >= 500:
		f.Result = Unavailable
	case f.Status >= 300 && f.Status < 400: // a redirect is not followed: the secret would go where nobody said
		f.Result = Invalid
	}
	return f
}

// retryAfter reads Retry-After, in seconds or as a date (RFC 9110 section 10.2.3); at most longestWait.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(longestWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), longestWait)
	}
	return 0
}
