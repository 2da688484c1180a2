// Package secret names secrets, reads them, and carries them in values that cannot be printed.
//
// Configuration holds a Ref, never a secret. A Ref is resolved per call to a Value, whose every formatting verb and
// encoding yields a placeholder; only Reveal gives the bytes, and only the stages that inject them call it.
package secret

import (
	"errors"
	"fmt"
	"strings"
)

// Ref is where a secret is kept: env:NAME, file:/path or vault:path#field. {tenant} and {adapter} are filled per call.
type Ref string

// ErrLiteral is the fault of a value that is not a reference. It never repeats the value.
var ErrLiteral = errors.New("is not a secret reference; write env:NAME, file:/path or vault:path#field (a literal secret does not belong in this file)")

// UnmarshalText accepts a reference and refuses a literal secret.
func (r *Ref) UnmarshalText(text []byte) error {
	s := string(text)
	scheme, rest, found := strings.Cut(s, ":")
	switch {
	case s == "":
	case !found || rest == "":
		return ErrLiteral
	case scheme == "env" || scheme == "file":
	case scheme == "vault":
		if path, field, ok := strings.Cut(rest, "#"); !ok || path == "" || field == "" {
			return errors.New("a Vault reference is written vault:path#field")
		} else if !straight(path) {
			return errors.New("a Vault reference is written vault:path#field, and its path has no empty, . or .. segment")
		}
	default:
		return ErrLiteral
	}
	*r = Ref(s)
	return nil
}

// straight reports whether a path means what it says: no segment is empty or climbs.
func straight(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// Vault splits a vault: reference: the path below the mount, and the field of the secret that is kept there.
func (r Ref) Vault() (path, field string) {
	_, rest, _ := strings.Cut(string(r), ":")
	path, field, _ = strings.Cut(rest, "#")
	return path, field
}

// Scheme is env, file or vault; "" for the empty reference.
func (r Ref) Scheme() string {
	scheme, _, _ := strings.Cut(string(r), ":")
	return scheme
}

// Fill replaces {tenant} and {adapter}. A tenant or adapter that could change the path it is put into is refused.
func (r Ref) Fill(tenant, adapter string) (Ref, error) {
	if !strings.Contains(string(r), "{") {
		return r, nil
	}
	if strings.Contains(string(r), "{tenant}") && !plain(tenant) {
		return "", fmt.Errorf("the reference %s needs a tenant of at most %d letters, digits, '-', '_' and '.'", r, maxTenant)
	}
	return Ref(strings.NewReplacer("{tenant}", tenant, "{adapter}", adapter).Replace(string(r))), nil
}

// maxTenant is the longest tenant that is put into a reference, in bytes. Vault is slow with very long paths: a caller that
// sends some would make it look down to all others.
const maxTenant = 128

// plain reports whether s is a single harmless path segment or variable name.
func plain(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > maxTenant {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
