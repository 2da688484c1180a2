package policy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

func TestCredentialsArePutOnTheAttemptAlone(t *testing.T) {
	t.Setenv("CRED_TEST", "s3cret")
	t.Setenv("CRED_TEST_acme_erp", "of the tenant")
	for name, c := range map[string]struct {
		auth        Auth
		field, want string
	}{
		"bearer":     {Auth{Bearer: "env:CRED_TEST"}, "Authorization", "Bearer s3cret"},
		"basic":      {Auth{Basic: &Basic{"fsm", "env:CRED_TEST"}}, "Authorization", "Basic ZnNtOnMzY3JldA=="},
		"header":     {Auth{Header: &SecretHeader{"X-API-Key", "env:CRED_TEST"}}, "X-API-Key", "s3cret"},
		"per tenant": {Auth{Bearer: "env:CRED_TEST_{tenant}_{adapter}"}, "Authorization", "Bearer of the tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			x := tenantCall(t, "acme")
			x.Request.Fields.Add(strings.ToLower(c.field), "the application's")
			x.attempt.Fields = x.Request.Fields.Clone(1)
			chain := play(t, answered(200))
			if _, err := credentials(&c.auth, testHost(t, "", testSettings()), secret.NewResolver())(chain.next)(x); err != nil {
				t.Fatal(err)
			}
			if sent := chain.sentAs[0].Fields; len(sent) != 1 || sent.Get(c.field) != c.want {
				t.Errorf("sent %v", sent)
			}
			if x.Request.Fields.Get(c.field) != "the application's" || c.auth.Field() != c.field {
				t.Errorf("the exchange's own request became %v", x.Request.Fields)
			}
		})
	}
}

func TestWithoutCredentialsTheCallFailsClosed(t *testing.T) {
	t.Setenv("CRED_TEST_BROKEN", "two\nlines")
	for name, c := range map[string]struct {
		ref    secret.Ref
		tenant string
	}{
		"absent":                       {"env:CRED_TEST_ABSENT", "acme"},
		"unreadable":                   {"file:/nowhere/key", "acme"},
		"with a line break":            {"env:CRED_TEST_BROKEN", "acme"},
		"of no tenant":                 {"env:CRED_{tenant}", ""},
		"of a tenant that is a path":   {"file:/run/{tenant}/key", "../../etc"},
		"of a tenant with a slash":     {"file:/run/{tenant}/key", "a/b"},
		"of a kind not available yet":  {"vault:kv/{tenant}#key", "acme"},
		"of a tenant that is a parent": {"file:/run/{tenant}/key", ".."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := credentials(&Auth{Bearer: c.ref}, testHost(t, "", testSettings()), secret.NewResolver())(play(t).next)(tenantCall(t, c.tenant))
			p, ok := err.(*problem.Problem)
			if !ok || p.Kind != problem.CredentialsUnavailable || p.Status() != 503 || p.ErrorType() != problem.TypeCredentials {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(p.Detail, "/") || strings.Contains(p.Detail, "CRED_") || strings.Contains(p.Error(), "two") {
				t.Errorf("the answer says %q, the log %q", p.Detail, p.Error())
			}
			if name == "with a line break" && !strings.Contains(p.Error(), string(c.ref)) {
				t.Errorf("the log does not name the reference: %q", p.Error())
			}
		})
	}
}

func TestCredentialsThatAreOffAreNoStage(t *testing.T) {
	if credentials(nil, testHost(t, "", testSettings()), nil) != nil {
		t.Error("credentials that are off are a stage")
	}
}
