package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

const (
	clientID   = "fsm+äpp:1"
	canary     = `c:+%&=/"\ ü-canary-secret`
	canaryText = "canary-token-41d0"
)

// ask serves one answer and fetches it with the canary as secret.
func ask(t *testing.T, edit func(*ClientConfig), answer http.HandlerFunc) (*Token, *Failure) {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	config := ClientConfig{TokenURL: server.URL + "/token", Timeout: 5 * time.Second}
	if edit != nil {
		edit(&config)
	}
	ctx, cancel := context.WithTimeout(t.Context(), config.Timeout)
	defer cancel()
	return NewClient(config, "").fetch(ctx, clientID, secret.NewValue([]byte(canary)))
}

func says(status int, contentType, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var quietLog = log.New(io.Discard, "", 0)

const asJSON = "application/json"

func TestTheClientSaysWhoItIsAsTheRFCSays(t *testing.T) {
	form := "fsm%2B%C3%A4pp%3A1:c%3A%2B%25%26%3D%2F%22%5C+%C3%BC-canary-secret" // RFC 6749 section 2.3.1 and appendix B
	for name, c := range map[string]struct {
		edit          func(*ClientConfig)
		authorization string
		want          url.Values
	}{
		"basic": {func(c *ClientConfig) { c.Scopes = []string{"orders:read", "orders:write"} },
			"Basic " + base64.StdEncoding.EncodeToString([]byte(form)), url.Values{"scope": {"orders:read orders:write"}}},
		"post": {func(c *ClientConfig) { c.InBody, c.Audience, c.Resource = true, "https://api.test", "urn:r" }, "",
			url.Values{"client_id": {clientID}, "client_secret": {canary}, "audience": {"https://api.test"}, "resource": {"urn:r"}}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			token, failure := ask(t, c.edit, func(w http.ResponseWriter, r *http.Request) {
				asked++
				c.want.Set("grant_type", "client_credentials")
				if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.PostForm.Encode() != c.want.Encode() || r.Header.Get("Authorization") != c.authorization {
					t.Errorf("%v %s %s with %q", err, r.Method, r.PostForm.Encode(), r.Header.Get("Authorization"))
				}
				says(200, asJSON, `{"access_token":"`+canaryText+`","token_type":"bearer","expires_in":3600}`)(w, r)
			})
			if failure != nil || string(token.Reveal()) != canaryText || asked != 1 {
				t.Errorf("%v after %d requests", failure, asked)
			}
			if left := time.Until(token.renew); left > 59*time.Minute || left < 58*time.Minute {
				t.Errorf("renewed in %s", left)
			}
		})
	}
}

func TestTokensThatCanBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		lifetime time.Duration
	}{
		"without a lifetime":        {says(200, asJSON, `{"access_token":"t","token_type":"Bearer"}`), defaultLifetime},
		"with a lifetime as text":   {says(200, asJSON, `{"access_token":"t","token_type":"BEARER","expires_in":"600"}`), 10 * time.Minute},
		"with an endless lifetime":  {says(200, asJSON, `{"access_token":"t","expires_in":99999999999999}`), (1<<31 - 1) * time.Second},
		"with status 201":           {says(201, asJSON, `{"access_token":"t","token_type":"Bearer","expires_in":600}`), 10 * time.Minute},
		"as a form":                 {says(200, "application/x-www-form-urlencoded", "access_token=t&token_type=bearer&expires_in=600"), 10 * time.Minute},
		"with no type of its media": {says(200, "", `{"access_token":"t","token_type":"Bearer","expires_in":600}`), 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			token, failure := ask(t, nil, c.answer)
			if failure != nil || string(token.Reveal()) != "t" {
				t.Fatal(failure)
			}
			if left := time.Until(token.end); left > c.lifetime || left < c.lifetime*8/10 {
				t.Errorf("serves for %s, want about %s", left, c.lifetime)
			}
		})
	}
}

// hang answers when the caller has gone, which net/http notices only once the body was read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestAnswersThatAreNoToken(t *testing.T) {
	echo := `c:+%&=/"\ ü-canary-secret canary-token-41d0`
	quoted := strings.ReplaceAll(strings.ReplaceAll(echo, `\`, `\\`), `"`, `\"`)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Result
		detail string
	}{
		"a wrong secret":         {says(401, asJSON, `{"error":"invalid_client","error_description":"`+quoted+`"}`), Rejected, "answered 401 invalid_client"},
		"a wrong scope":          {says(400, asJSON, `{"error":"invalid_scope"}`), Rejected, "answered 400 invalid_scope"},
		"a code of its own":      {says(400, asJSON, `{"error":"`+quoted+`"}`), Rejected, "answered 400"},
		"a refusal in HTML":      {says(403, "text/html", "<h1>"+echo), Rejected, "answered 403"},
		"a refusal with 200":     {says(200, asJSON, `{"error":"invalid_client"}`), Rejected, "answered 200 invalid_client"},
		"an outage":              {says(503, "text/plain", echo), Unavailable, "answered 503"},
		"too many requests":      {says(429, asJSON, echo, "Retry-After", "7"), Unavailable, "answered 429"},
		"a redirect":             {says(307, asJSON, "", "Location", "/elsewhere"), Invalid, "answered 307"},
		"a page":                 {says(200, "text/html", "<html>"+echo), Invalid, "not a token"},
		"text":                   {says(200, "text/plain", echo), Invalid, "not a token"},
		"nothing":                {says(200, asJSON, ""), Invalid, "not a token"},
		"null":                   {says(200, asJSON, "null"), Invalid, "not a token"},
		"a list":                 {says(200, asJSON, `["`+quoted+`"]`), Invalid, "not a token"},
		"a number":               {says(200, asJSON, `{"access_token":17}`), Invalid, "not a token"},
		"no token":               {says(200, asJSON, `{"token_type":"Bearer","x":"`+quoted+`"}`), Invalid, "not a token"},
		"half a token":           {says(200, asJSON, `{"access_token":"`+canaryText), Invalid, "not a token"},
		"another type":           {says(200, asJSON, `{"access_token":"`+canaryText+`","token_type":"mac"}`), Invalid, "cannot be used"},
		"a line break":           {says(200, asJSON, `{"access_token":"`+canaryText+`\r\nX-Evil: 1"}`), Invalid, "cannot be used"},
		"a space":                {says(200, asJSON, `{"access_token":"`+canaryText+` b"}`), Invalid, "cannot be used"},
		"a letter outside ASCII": {says(200, asJSON, `{"access_token":"`+canaryText+`ü"}`), Invalid, "cannot be used"},
		"an end in the past":     {says(200, asJSON, `{"access_token":"`+canaryText+`","expires_in":-5}`), Invalid, "cannot be used"},
		"a lifetime of nonsense": {says(200, asJSON, `{"access_token":"`+canaryText+`","expires_in":"`+quoted+`"}`), Invalid, "not a token"},
		"too much":               {says(200, asJSON, `{"access_token":"`+strings.Repeat("x", maxAnswer)+`"}`), Invalid, "not a token"},
		"too long a head":        {says(200, asJSON, "{}", "X-Long", strings.Repeat("x", 2*maxAnswer)), Invalid, "not a token"},
		"silence":                {hang, Timeout, "in time"},
		"silence in mid-answer": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}, Timeout, "in time"},
		"a closed connection":        {raw(""), Unreachable, "could not be reached"},
		"an answer that is no HTTP":  {raw(echo + "\r\n\r\n"), Invalid, "not a token"},
		"an answer with half a head": {raw("HTTP/1.1 200 OK\r\n" + canaryText + "\r\n\r\n"), Invalid, "not a token"},
	} {
		t.Run(name, func(t *testing.T) {
			slow := func(c *ClientConfig) {
				if c.Timeout = 5 * time.Second; c.Timeout > 0 && strings.HasPrefix(name, "silence") {
					c.Timeout = 50 * time.Millisecond
				}
			}
			token, failure := ask(t, slow, c.answer)
			if token != nil || failure == nil || failure.Result != c.want || !strings.Contains(failure.Detail(), c.detail) {
				t.Fatalf("got %v, %v (%+v)", token != nil, failure, failure)
			}
			if name == "too many requests" && failure.wait != 7*time.Second {
				t.Errorf("Retry-After became %s", failure.wait)
			}
			for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				if text := fmt.Sprintf(form, failure) + failure.Error(); strings.Contains(text, "canary") {
					t.Errorf("%s shows %s", form, text)
				}
			}
		})
	}
}

// raw answers with bytes and closes.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the client secret went to where it was redirected") }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		if _, failure := ask(t, nil, says(status, asJSON, "", "Location", other.URL)); failure == nil || failure.Status != status {
			t.Errorf("%d: %v", status, failure)
		}
	}
}

func TestAnEndpointThatIsNotThere(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := socket.Addr().String()
	_ = socket.Close()
	forbidden := errors.New("this address is not called")
	for name, edit := range map[string]func(*ClientConfig){
		"refused": func(c *ClientConfig) { c.TokenURL = "http://" + address },
		"forbidden": func(c *ClientConfig) {
			c.Control = func(context.Context, string, string, syscall.RawConn) error { return forbidden }
		},
		"not trusted": func(c *ClientConfig) { c.TokenURL = untrusted(t) },
		"no TLS":      func(c *ClientConfig) { c.TokenURL = strings.Replace(c.TokenURL, "http:", "https:", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			_, failure := ask(t, edit, says(200, asJSON, `{"access_token":"t"}`))
			if failure == nil || failure.Result != Unreachable && name != "no TLS" || strings.Contains(failure.Error(), "canary") {
				t.Errorf("got %v", failure)
			}
			if name == "forbidden" && !strings.Contains(failure.Error(), forbidden.Error()) {
				t.Errorf("the log does not say why: %v", failure)
			}
		})
	}
}

func untrusted(t *testing.T) string {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = quietLog
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{"": 0, "0": 0, "7": 7 * time.Second, "99999999999999999999": longestWait, "-5": 0, "soon": 0,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second, "Fri, 02 Jan 2026 03:00:00 GMT": 0, "Sat, 03 Jan 2026 03:00:00 GMT": longestWait} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
