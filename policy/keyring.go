package policy

import (
	"slices"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

// keyring fetches the keys that sign or verify one call. They are read anew for each attempt, so a rotated key is used
// from the next one on. The last is fetched first: a previous key that is read before the new one cannot be older than
// it, so a rotation that changes both at once is seen whole.
type keyring struct {
	host    *Host
	secrets *secret.Resolver
	refs    []secret.Ref
}

func (k *keyring) fetch(x *Exchange) ([]secret.Value, error) {
	values := make([]secret.Value, len(k.refs))
	for i, ref := range slices.Backward(k.refs) {
		value, err := k.host.fetch(x, k.secrets, ref)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// unusable is the answer when a key was read and is none: like one that cannot be read, it fails the call closed. A
// problem of the call itself passes through.
func (k *keyring) unusable(err error) error {
	if p, ok := err.(*problem.Problem); ok {
		return p
	}
	k.host.live.noteCredentials(err)
	return credentialsUnavailable("A signing key of this adapter cannot be used; the sidecar's log says why.", err)
}
