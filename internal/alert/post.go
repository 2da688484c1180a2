package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/egress"
)

const (
	postTimeout = 5 * time.Second // of one POST, its answer included
	maxAnswer   = 64 << 10        // bytes of an answer that are read, so that its connection can be used again
)

// newClient returns a client without the surprises of the environment: no proxy, no redirects, no stale connections,
// since minutes pass between two alerts. No name leads it to a cloud's metadata.
func newClient() *http.Client {
	dialer := &net.Dialer{Timeout: postTimeout, ControlContext: egress.Control}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, IdleConnTimeout: 10 * time.Second, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refusal is an answer other than 2xx. The body stays out of it: it may repeat what we sent, and where.
type refusal struct {
	status     int
	retryAfter time.Duration // 0: it did not say
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("it answered with status %d", r.status) }

// post sends content as JSON; nil means that a 2xx came back within postTimeout. Errors do not hold the URL, in which
// webhooks carry their secret.
func post(ctx context.Context, client *http.Client, to format, content any) error {
	body, err := json.Marshal(content)
	if err != nil { // strings, numbers and times always encode
		panic(err)
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be used")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "integration-sidecar")
	if to.auth != nil {
		value, err := to.auth(ctx)
		if err != nil {
			return fmt.Errorf("read its credentials: %w", err)
		}
		request.Header.Set("Authorization", value)
	}
	response, err := client.Do(request)
	if err != nil {
		return unquoted{withoutURL(err)}
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	if response.StatusCode/100 != 2 {
		return &refusal{response.StatusCode, retryAfter(response.Header)}
	}
	return nil
}

func withoutURL(err error) error {
	if named := (*url.Error)(nil); errors.As(err, &named) {
		return named.Err
	}
	return err
}

// unquoted is an error without what it quotes: net/http repeats bytes of the answer there, which may repeat the token.
type unquoted struct{ error }

// Error implements error.
func (u unquoted) Error() string {
	text, _, _ := strings.Cut(u.error.Error(), `"`)
	return strings.TrimRight(text, " :")
}

// Unwrap lets errors.Is see which error it is.
func (u unquoted) Unwrap() error { return u.error }

// retryAfter reads the field's seconds; a date, which those who answer webhooks do not use, counts as nothing.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
