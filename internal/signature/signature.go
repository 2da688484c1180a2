// Package signature signs requests and verifies responses, in four schemes: plain HMAC-SHA256, Standard Webhooks, HTTP
// Message Signatures (RFC 9421, with the Content-Digest of RFC 9530) and AWS Signature Version 4.
//
// Everything here is a pure function of a message, a key and a time, so that published vectors and the providers' own
// libraries can judge it. Which secret is a key, when to sign and what a failure means is for the policies to say. No
// error repeats anything of a key, of a signature or of a body: each is one fixed sentence.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Fault is why a key cannot be used, or why a response is not believed. It reads on after a colon.
type Fault string

// Error implements error.
func (f Fault) Error() string { return string(f) }

// The faults of a response, whatever its scheme.
const (
	Missing   Fault = "it carries no signature"
	Malformed Fault = "its signature is malformed"
	Mismatch  Fault = "its signature does not match"
	NoTime    Fault = "its signature has no time"
	Stale     Fault = "the time of its signature is too far from now"
)

// Request is a request as it leaves, when every policy has written its fields.
type Request struct {
	*wire.Request
	Scheme    string // http or https
	Authority string // what the Host field or :authority carries: lower case, without the scheme's own port
}

// Field is the value a field arrives with: its lines joined (RFC 9110 section 5.3). Those that frame the message are
// made by the engine, so their values follow from the rest.
func (r Request) Field(name string) (string, bool) {
	switch {
	case strings.EqualFold(name, "Host"):
		return r.Authority, true
	case strings.EqualFold(name, "Content-Length"):
		return r.contentLength()
	case strings.EqualFold(name, "User-Agent"): // the engine sends one, and none that is empty
		value := strings.Trim(r.Fields.Get(name), " \t")
		return value, value != ""
	}
	return combined(r.Fields, name)
}

func (r Request) contentLength() (string, bool) {
	n := len(r.Body.Bytes)
	switch {
	case r.Trailer != nil && n > 0 && len(r.Trailer()) > 0: // chunked
		return "", false
	case n == 0 && r.Method != "POST" && r.Method != "PUT" && r.Method != "PATCH":
		return "", false
	}
	return strconv.Itoa(n), true
}

// combined joins the lines of a field with separator ", ".
func combined(fields wire.Fields, name string) (value string, found bool) {
	for i := range fields {
		if !strings.EqualFold(fields[i].Name, name) {
			continue
		}
		line := strings.Trim(fields[i].Value, " \t")
		if found {
			value += ", " + line
		} else {
			value, found = line, true
		}
	}
	return value, found
}

// MAC is HMAC-SHA256 (RFC 2104) under one key, for any number of goroutines. Its states are reused: keying one costs
// two compressions and most of the allocations.
type MAC struct{ pool sync.Pool }

// NewMAC keeps a copy of key.
func NewMAC(key []byte) *MAC {
	m, own := new(MAC), append([]byte(nil), key...)
	m.pool.New = func() any { return hmac.New(sha256.New, own) }
	return m
}

// Begin returns a fresh state. It must be given to End.
func (m *MAC) Begin() hash.Hash {
	h := m.pool.Get().(hash.Hash)
	h.Reset()
	return h
}

// End appends the MAC to sum and takes the state back.
func (m *MAC) End(h hash.Hash, sum []byte) []byte {
	sum = h.Sum(sum)
	m.pool.Put(h)
	return sum
}

// of is the MAC of one text.
func (m *MAC) of(text string) []byte {
	h := m.Begin()
	_, _ = h.Write([]byte(text))
	return m.End(h, nil)
}

// Equal compares a MAC with the one that was sent, in constant time. A shorter one is never equal.
func Equal(ours, theirs []byte) bool { return hmac.Equal(ours, theirs) }

// Fresh checks a time in Unix seconds, written in decimal, against now: it may be off by tolerance both ways.
func Fresh(timestamp string, now time.Time, tolerance time.Duration) error {
	if timestamp == "" {
		return NoTime
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != timestamp {
		return Malformed
	}
	return near(seconds, now, tolerance)
}

func near(seconds int64, now time.Time, tolerance time.Duration) error {
	if off := now.Truncate(time.Second).Sub(time.Unix(seconds, 0)); off > tolerance || off < -tolerance {
		return Stale
	}
	return nil
}
