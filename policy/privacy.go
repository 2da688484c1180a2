package policy

import (
	"strings"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// privacy knows which fields of a call never go to the disk: they hold credentials.
type privacy struct {
	names []string
	key   string // the field of the idempotency key, which is none
}

// privateWords mark the fields in which applications send credentials of their own.
var privateWords = [...]string{"auth", "token", "secret", "password", "passwd", "pwd", "apikey", "access-key", "credential", "cookie", "signature",
	"jwt", "bearer", "session"}

// publicKeys are fields whose names end like those of keys and that hold no secret.
var publicKeys = [...]string{"idempotency-key", "order-key"}

// newPrivacy adds the fields into which this adapter puts credentials, whatever they are called.
func newPrivacy(s *Settings) privacy {
	var p privacy
	if s.Idempotency != nil {
		p.key = s.Idempotency.Header
	}
	if s.Auth != nil {
		p.names = append(p.names, s.Auth.Field())
	}
	if s.Sign != nil {
		p.names = append(p.names, s.Sign.Header)
	}
	return p
}

// strip copies the fields that may go to the disk.
func (p privacy) strip(fields wire.Fields) wire.Fields {
	kept := make(wire.Fields, 0, len(fields))
	for _, f := range fields {
		if !p.private(f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

func (p privacy) private(name string) bool {
	for _, own := range p.names {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	lower := strings.ToLower(name)
	for _, word := range privateWords {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return strings.HasSuffix(lower, "key") && !p.public(lower)
}

func (p privacy) public(lower string) bool {
	if strings.EqualFold(lower, p.key) {
		return true
	}
	for _, name := range publicKeys {
		if strings.HasSuffix(lower, name) {
			return true
		}
	}
	return false
}
