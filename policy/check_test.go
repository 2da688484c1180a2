package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/units"
)

// reported collects what Check finds, as path or, for warnings, ?path.
type reported []string

func (r *reported) Fault(path, message string) { *r = append(*r, path+": "+message) }
func (r *reported) Warn(path, message string)  { *r = append(*r, "?"+path+": "+message) }

func (r reported) paths() []string {
	var list []string
	for _, line := range r {
		path, _, _ := strings.Cut(line, ":")
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

func TestUnsafeCombinationsAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Settings)
		want []string
	}{
		"the built-in values":              {func(*Settings) {}, nil},
		"everything off":                   {func(s *Settings) { *s = Settings{Call: Call{Timeout: s.Timeout}} }, nil},
		"a lease as long as the total":     {func(s *Settings) { s.Idempotency.Lease = s.Timeout.Total }, []string{"idempotency.lease"}},
		"POST retried without keys":        {func(s *Settings) { s.Retry.Methods = append(s.Retry.Methods, "POST") }, []string{"retry.methods"}},
		"PATCH retried, idempotency off":   {func(s *Settings) { s.Retry.Methods, s.Idempotency = []string{"PATCH"}, nil }, []string{"retry.methods"}},
		"POST retried with keys":           {func(s *Settings) { s.Retry.Methods, s.Idempotency.Honoured = []string{"POST"}, true }, nil},
		"a first delay above the greatest": {func(s *Settings) { s.Retry.InitialDelay = s.Retry.MaxDelay + 1 }, []string{"?retry", "retry.initial_delay"}},
		"attempts that do not fit":         {func(s *Settings) { s.Retry.MaxRetries = 5 }, []string{"?retry"}},
		"an attempt longer than the total": {func(s *Settings) { s.Timeout.Attempt = s.Timeout.Total + 1 }, []string{"?retry", "?timeout.attempt"}},
		"no field name":                    {func(s *Settings) { s.Idempotency.Header = "a b" }, []string{"idempotency.header"}},
		"an unknown key part":              {func(s *Settings) { s.Idempotency.KeyFrom = []string{"tenant", "cookie:a"} }, []string{"idempotency.key_from"}},
		"no credentials":                   {func(s *Settings) { s.Auth = &Auth{} }, []string{"auth"}},
		"two credentials":                  {func(s *Settings) { s.Auth = &Auth{Bearer: "env:A", Header: &SecretHeader{"X-A", "env:A"}} }, []string{"auth"}},
		"a colon in the user name":         {func(s *Settings) { s.Auth = &Auth{Basic: &Basic{"a:b", "env:A"}} }, []string{"auth.basic.username"}},
		"a bad credentials field":          {func(s *Settings) { s.Auth = &Auth{Header: &SecretHeader{"X A", "env:A"}} }, []string{"auth.header.name"}},
		"a bad template":                   {func(s *Settings) { s.Sign = builtInSign("env:A"); s.Sign.Content = "{bdy}" }, []string{"sign.content"}},
		"bad signature fields": {func(s *Settings) {
			s.Sign = builtInSign("env:A")
			s.Sign.Header, s.Sign.TimestampHeader, s.Sign.IDHeader, s.Sign.Prefix = "", " ", "é", "a\r\nb"
		}, []string{"sign.header", "sign.id_header", "sign.prefix", "sign.timestamp_header"}},
		"methods that cannot be":    {func(s *Settings) { s.Validate = &Validate{Methods: []string{"GET", "get", "TRACE", "A B"}} }, []string{"validate.methods", "validate.methods", "validate.methods"}},
		"types that cannot be":      {func(s *Settings) { s.Validate = &Validate{ContentTypes: []string{"json", "application/json"}} }, []string{"validate.content_types"}},
		"letters of no method":      {func(s *Settings) { s.DeadLetter.Methods = []string{"POST", "CONNECT", ""} }, []string{"dlq.methods", "dlq.methods"}},
		"a certificate without key": {func(s *Settings) { s.Host.TLS = &TLS{Cert: "file:/c"} }, []string{"tls"}},
		"TLS from the environment":  {func(s *Settings) { s.Host.TLS = &TLS{CA: "env:A", Cert: "env:B", Key: "vault:c#d"} }, []string{"tls.ca", "tls.cert", "tls.key"}},
		"egress that is no CIDR":    {func(s *Settings) { s.Host.Egress = &Egress{Allow: []string{"10.0.0.1"}, Deny: []string{"x"}} }, []string{"egress.allow", "egress.deny"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings()
			s.Timeout.Total = units.Duration(130 * time.Second)
			c.edit(s)
			var found reported
			s.Check(&found)
			if !slices.Equal(found.paths(), c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

func TestTheWorstCaseIsEveryAttemptAndEveryDelay(t *testing.T) {
	s := testSettings()
	s.Retry.JitterFactor = 0.1
	if got, want := s.Retry.WorstCase(s.Timeout), 127700*time.Millisecond; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		method   string
		edit     func(*Settings)
		attempts int
		retried  bool
		latency  time.Duration
		why      string
	}{
		{"GET", func(*Settings) {}, 4, true, 120 * time.Second, "safe to send twice"},
		{"POST", func(*Settings) {}, 4, false, 120 * time.Second, "does not honour"},
		{"POST", honoured, 4, true, 120 * time.Second, "drops duplicates"},
		{"GET", retryOff, 1, false, 30 * time.Second, "retry is off"},
	} {
		s := testSettings()
		c.edit(s)
		if got := Advise(s, c.method); got.Attempts != c.attempts || got.Retried != c.retried || got.Latency != c.latency || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s: %+v, want %+v", c.method, got, c)
		}
	}
}
