package policy

import (
	"slices"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// barred are the fields that no trailer of the application's may carry: those of the call's context, those that frame a
// message, and those that the policies write. A provider that merges trailers into its fields would see them beside the
// sidecar's own, or in their place, and no signature covers them (RFC 9110 section 6.5.1).
func barred(s *Settings) []string {
	names := slices.Clone(reserved[:])
	if s.Auth != nil {
		names = append(names, s.Auth.Field())
	}
	if s.Idempotency != nil {
		names = append(names, s.Idempotency.Header)
	}
	if s.Sign != nil {
		for _, f := range s.Sign.fields() {
			names = append(names, f[1])
		}
	}
	return names
}

// withoutBarred leaves them out of a trailer, which is complete only when the body has been read.
func withoutBarred(trailer func() wire.Fields, names []string) func() wire.Fields {
	if trailer == nil {
		return nil
	}
	return func() wire.Fields {
		return slices.DeleteFunc(slices.Clone(trailer()), func(f wire.Field) bool {
			return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, f.Name) })
		})
	}
}
