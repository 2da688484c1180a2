package policy

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/oauth"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// withTokens lets calls ask for tokens at endpoint, with the secret of the environment.
func withTokens(endpoint string) func(*Settings) {
	return func(s *Settings) {
		s.Auth = &Auth{OAuth2: &OAuth2{TokenURL: endpoint + "/token", ClientID: "fsm", ClientSecret: "env:OAUTH_TEST", AuthStyle: "basic", Timeout: units.Duration(5 * time.Second)}}
	}
}

func tokenStep(name string) upstream.Step {
	return upstream.JSON(200, `{"access_token":"`+name+`","token_type":"Bearer","expires_in":3600}`)
}

func TestOneTokenServesManyCallsAndAReload(t *testing.T) {
	t.Setenv("OAUTH_TEST", "s3cret")
	endpoint := upstream.Script(t, tokenStep("token-1"))
	u := upstream.Script(t, upstream.OK("a"), upstream.OK("b"), upstream.OK("c"))
	s := quick(withTokens(endpoint.URL()))
	r := newRig(t, u.URL(), s)
	for range 2 {
		if a := r.call("POST", "/", "{}", "Authorization", "the application's"); a.status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	target, _ := url.Parse(u.URL())
	later, err := NewHost(HostConfig{Identity: r.host.Identity, Upstream: target, Settings: s}, r.host)
	if err != nil {
		t.Fatal(err)
	}
	if r.next, err = Compile(s, later, r.deps); err != nil {
		t.Fatal(err)
	}
	if a := r.call("GET", "/", ""); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	for _, q := range u.Requests() {
		if got := q.Fields.Get("Authorization"); got != "Bearer token-1" {
			t.Errorf("request %d carried %q", q.N, got)
		}
	}
	if n := later.TokenFetches(); n[oauth.OK] != 1 || len(n) != len(oauth.Results()) {
		t.Errorf("counted %v", n)
	}
}

func TestEachTenantHasItsOwnToken(t *testing.T) {
	t.Setenv("OAUTH_a", "of a")
	t.Setenv("OAUTH_b", "of b")
	endpoint := upstream.Script(t, tokenStep("token-of-a"), tokenStep("token-of-b"))
	u := upstream.Script(t, upstream.OK(""), upstream.OK(""), upstream.OK(""))
	r := newRig(t, u.URL(), quick(withTokens(endpoint.URL()), func(s *Settings) {
		s.Auth.OAuth2.ClientID, s.Auth.OAuth2.ClientSecret, s.Auth.OAuth2.AuthStyle = "fsm-{tenant}-{adapter}", "env:OAUTH_{tenant}", "post"
	}))
	for i, tenant := range []string{"a", "b", "a"} {
		if a := r.call("GET", "/", "", "X-Tenant-ID", tenant); a.status != 200 {
			t.Fatalf("%+v", a)
		}
		if got := u.Request(i + 1).Fields.Get("Authorization"); got != "Bearer token-of-"+tenant {
			t.Errorf("tenant %s was sent as %q", tenant, got)
		}
	}
	if got := string(endpoint.Request(2).Body); !strings.Contains(got, "client_id=fsm-b-erp&client_secret=of+b") {
		t.Errorf("the endpoint was asked %q", got)
	}
	a := r.call("GET", "/", "")
	if p, ok := a.err.(*problem.Problem); !ok || p.Kind != problem.CredentialsUnavailable || !strings.Contains(p.Detail, "X-Tenant-ID") {
		t.Errorf("without a tenant: %v", a.err)
	}
}

func TestWithoutATokenNothingIsSent(t *testing.T) {
	t.Setenv("OAUTH_TEST", "s3cret")
	for name, c := range map[string]struct {
		step   upstream.Step
		detail string
	}{
		"a wrong secret": {upstream.JSON(401, `{"error":"invalid_client","error_description":"s3cret"}`), "There is no access token for this adapter: the token endpoint answered 401 invalid_client."},
		"an outage":      {upstream.Status(503, "s3cret"), "answered 503."},
		"garbage":        {upstream.OK("<html>s3cret"), "is not a token."},
		"a dead server":  {upstream.CloseAfterRead(), "could not be reached."},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := upstream.Always(t, c.step)
			r := newRig(t, upstream.Refused(t), quick(withTokens(endpoint.URL())))
			for range 3 {
				a := r.call("POST", "/", "{}")
				p, ok := a.err.(*problem.Problem)
				if !ok || p.Kind != problem.CredentialsUnavailable || p.Status() != 503 || !p.Retryable() || !strings.Contains(p.Detail, c.detail) {
					t.Fatalf("got %v", a.err)
				}
				if p.RetryAfter <= 0 || p.RetryAfter > 2*time.Second || len(a.x.Attempts) != 0 || r.host.Breaker.Failures() != 0 {
					t.Errorf("Retry-After %s, %d attempts, %d failures of the breaker", p.RetryAfter, len(a.x.Attempts), r.host.Breaker.Failures())
				}
				if text := p.Error() + r.host.NoCredentials(); strings.Contains(text, "s3cret") || r.host.NoCredentials() == "" {
					t.Errorf("said: %s", text)
				}
			}
		})
	}
}

func TestASilentTokenEndpointIsNotTheExternalSystemsFault(t *testing.T) {
	t.Setenv("OAUTH_TEST", "s3cret")
	endpoint := upstream.Always(t, upstream.Hang())
	s := quick(withTokens(endpoint.URL()), func(s *Settings) { s.Auth.OAuth2.Timeout = units.Duration(200 * time.Millisecond) })
	r := newRig(t, upstream.Refused(t), s)
	a := r.call("POST", "/", "{}", "X-Request-Timeout", "20ms")
	if kindOf(a.err) != problem.CredentialsUnavailable || r.host.Breaker.Failures() != 0 || len(a.x.Attempts) != 0 {
		t.Errorf("%v, %d failures of the breaker", a.err, r.host.Breaker.Failures())
	}
	x := r.exchange("POST", "/", "{}")
	cancelable(x)()
	if a := r.run(x); a.err != ErrCanceled {
		t.Errorf("an application that left: %v", a.err)
	}
	if a := r.call("POST", "/", "{}"); kindOf(a.err) != problem.CredentialsUnavailable || !strings.Contains(a.err.Error(), "in time") {
		t.Errorf("%v", a.err)
	}
	endpoint.WaitGone(1)
}

func TestATokenEndpointBehindItsOwnAuthority(t *testing.T) {
	t.Setenv("OAUTH_TEST", "s3cret")
	for name, trusted := range map[string]bool{"trusted": true, "not trusted": false} {
		t.Run(name, func(t *testing.T) {
			endpoint := upstream.TLS(t, map[bool][]upstream.Step{true: {tokenStep("t")}}[trusted]...)
			u := upstream.Script(t, map[bool][]upstream.Step{true: {upstream.OK("")}}[trusted]...)
			r := newRig(t, u.URL(), quick(withTokens(endpoint.URL()), func(s *Settings) {
				if trusted {
					s.Auth.OAuth2.TLS = &TLS{CA: pemFile(t, "ca.pem", endpoint.CA())}
				}
			}))
			if a := r.call("GET", "/", ""); (a.status == 200) != trusted {
				t.Errorf("%d, %v", a.status, a.err)
			}
		})
	}
	s := quick(withTokens("https://login.test"), func(s *Settings) { s.Auth.OAuth2.TLS = &TLS{CA: "file:/nowhere.pem"} })
	if _, err := Compile(s, testHost(t, "", s), Deps{Secrets: secret.NewResolver()}); err == nil || !strings.Contains(err.Error(), "auth.oauth2: tls.ca") {
		t.Errorf("compiled with an authority that cannot be read: %v", err)
	}
}

func TestAddressesATokenEndpointMayHave(t *testing.T) {
	for _, c := range []struct {
		endpoint, address string
		want              bool
	}{
		{"https://login.test/token", "203.0.113.7:443", true},
		{"https://login.test/token", "10.0.0.7:443", true},
		{"https://login.test/token", "127.0.0.1:443", false},
		{"https://login.test/token", "169.254.169.254:443", false},
		{"https://login.test/token", "[fd00:ec2::254]:443", false},
		{"https://127.0.0.1/token", "127.0.0.1:443", true},
		{"http://localhost/token", "[::1]:80", true},
		{"http://localhost/token", "127.0.0.1:80", true},
		{"http://localhost/token", "203.0.113.7:80", false}, // or a name could send the secret over the network unencrypted
		{"http://localhost/token", "nonsense", false},
	} {
		u, err := url.Parse(c.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		control, err := tokenEgress(u)
		if err != nil {
			t.Fatal(err)
		}
		if err := control(context.Background(), "tcp", c.address, nil); (err == nil) != c.want {
			t.Errorf("%s at %s: %v, want allowed: %v", c.endpoint, c.address, err, c.want)
		}
	}
}

func TestABodyThatMayGoAgainWithAnotherTokenIsKept(t *testing.T) {
	plain := &Settings{}
	tokens := &Settings{Call: Call{Auth: &Auth{OAuth2: &OAuth2{}}}}
	for _, method := range []string{"GET", "POST"} {
		if (&validator{settings: plain}).needed(method) || !(&validator{settings: tokens}).needed(method) {
			t.Errorf("%s: the body is kept for nothing, or not at all", method)
		}
	}
}
