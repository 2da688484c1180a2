package signature

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"

	"github.com/dunglas/httpsfv"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// ContentDigest is the field of RFC 9530 section 2.
const ContentDigest = "Content-Digest"

// The faults of digests.
const (
	NoDigest    Fault = "its Content-Digest has neither sha-256 nor sha-512"
	WrongDigest Fault = "its Content-Digest does not match its body"
)

// Digest is the Content-Digest of a body.
func Digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// CheckDigest compares the Content-Digest among fields with a body. Every digest of an algorithm that is safe must be
// right, and there must be one: NoDigest says that there is nothing to go by, WrongDigest that there is.
func CheckDigest(fields wire.Fields, body []byte) error {
	value, found := combined(fields, ContentDigest)
	if !found {
		return NoDigest
	}
	digests, err := httpsfv.UnmarshalDictionary([]string{value})
	if err != nil {
		return WrongDigest
	}
	known := NoDigest
	for _, name := range digests.Names() {
		if name != "sha-256" && name != "sha-512" {
			continue
		}
		member, _ := digests.Get(name)
		item, _ := member.(httpsfv.Item)
		if sum, ok := item.Value.([]byte); !ok || !Equal(digestOf(name, body), sum) {
			return WrongDigest
		}
		known = ""
	}
	if known != "" {
		return known
	}
	return nil
}

func digestOf(name string, body []byte) []byte {
	if name == "sha-512" {
		sum := sha512.Sum512(body)
		return sum[:]
	}
	sum := sha256.Sum256(body)
	return sum[:]
}
