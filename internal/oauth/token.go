package oauth

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

const (
	// defaultLifetime is that of a token whose endpoint does not say (expires_in is only recommended, RFC 6749 section 5.1).
	defaultLifetime = 5 * time.Minute
	// young is the age below which a token that is refused is kept: another one would be refused too.
	young = 10 * time.Second
)

// Token is an access token. It is renewed a tenth of its life before its end, 10 to 60 seconds, but not in the first
// half of its life; and it is not sent any more when it could end on its way.
type Token struct {
	value  secret.Value
	issued time.Time
	renew  time.Time
	end    time.Time
}

func newToken(text string, issued time.Time, lifetime time.Duration) *Token {
	early := min(max(lifetime/10, 10*time.Second), time.Minute, lifetime/2)
	margin := min(lifetime/10, 5*time.Second)
	return &Token{value: secret.NewValue([]byte(text)), issued: issued, renew: issued.Add(lifetime - early), end: issued.Add(lifetime - margin)}
}

// Reveal returns the token itself. The caller must not keep, print or change it.
func (t *Token) Reveal() []byte { return t.value.Reveal() }

func (t *Token) serves(now time.Time) bool { return t != nil && now.Before(t.end) }
