package alert

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/egress"
)

func TestThePOSTIsJSONAndA2xxIsTaken(t *testing.T) {
	for status, ok := range map[int]bool{200: true, 202: true, 204: true, 304: false, 400: false, 404: false, 429: false, 500: false, 503: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s of %s", q.Method, q.Header.Get("Content-Type"))
			}
			w.WriteHeader(status)
		}))
		client := newClient()
		if err := post(t.Context(), client, format{url: server.URL}, hook{}); (err == nil) != ok {
			t.Errorf("status %d: %v", status, err)
		}
		client.CloseIdleConnections()
		server.Close()
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	client := newClient()
	defer client.CloseIdleConnections()
	if err := post(t.Context(), client, format{url: server.URL}, hook{}); err == nil || elsewhere.Load() != 0 {
		t.Errorf("%d calls elsewhere: %v", elsewhere.Load(), err)
	}
}

func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	if newClient().Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy")
	}
}

func TestErrorsHoldNoURL(t *testing.T) {
	client := newClient()
	defer client.CloseIdleConnections()
	for _, to := range []string{"http://127.0.0.1:1/secret-token", "http://user:secret-token@127.0.0.1:1/", "gopher://h/secret-token", "http://h:secret-token/", "://secret-token"} {
		if err := post(t.Context(), client, format{url: to}, hook{}); err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%v", err)
		}
	}
}

// net/http quotes what it cannot read as HTTP in its error, and a server may answer with what it was sent.
func TestAnAnswerThatRepeatsTheTokenIsNotQuoted(t *testing.T) {
	for _, answer := range []string{"%s\r\n\r\n", "HTTP/1.1 %s\r\n\r\n", "HTTP/1.1 200 OK\r\n%s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: ://%%zz%s\r\nContent-Length: 0\r\n\r\n"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = fmt.Fprintf(conn, answer, strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer "))
			_ = conn.Close()
		}))
		client := newClient()
		to := format{url: server.URL, auth: func(context.Context) (string, error) { return "Bearer canary-1", nil }}
		if err := post(t.Context(), client, to, hook{}); err == nil || strings.Contains(err.Error(), "canary-1") || err.Error() == "" {
			t.Errorf("%q: %v", answer, err)
		}
		client.CloseIdleConnections()
		server.Close()
	}
}

func TestCredentialsAreAskedForEachPOST(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { got = append(got, q.Header.Get("Authorization")) }))
	defer server.Close()
	client := newClient()
	defer client.CloseIdleConnections()
	token := "Bearer one"
	to := format{url: server.URL, auth: func(context.Context) (string, error) { return token, nil }}
	for _, next := range []string{"Bearer two", ""} {
		if err := post(t.Context(), client, to, hook{}); err != nil {
			t.Fatal(err)
		}
		token = next
	}
	to.auth = func(context.Context) (string, error) { return "", errors.New("env:TOKEN is not set") }
	if err := post(t.Context(), client, to, hook{}); err == nil || !strings.Contains(err.Error(), "env:TOKEN") {
		t.Errorf("without credentials: %v", err)
	}
	if !slices.Equal(got, []string{"Bearer one", "Bearer two"}) {
		t.Errorf("%q", got)
	}
}

func TestRetryAfterIsReadInSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "Fri, 31 Dec 1999 23:59:59 GMT": 0, "99999999999999999999": 0} {
		if got := retryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// A webhook's name may be pointed anywhere by whoever owns its zone.
func TestNoAlertGoesToAMetadataService(t *testing.T) {
	err := post(t.Context(), newClient(), format{url: "http://169.254.169.254/latest"}, map[string]string{})
	if !errors.Is(err, egress.ErrDenied) {
		t.Errorf("got %v", err)
	}
}
