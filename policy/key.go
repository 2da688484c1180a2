package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// maxKey is the longest key taken from an application, in bytes.
const maxKey = 255

// keyFields are read in this order, after the configured one: what applications that know no adapter send.
var keyFields = [...]string{"Idempotency-Key", "X-Idempotency-Key"}

// The escapes of a structured string (RFC 9651 section 3.3.3) and of a JSON pointer (RFC 6901 section 4).
var (
	escapeKey     = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	unescapeKey   = strings.NewReplacer(`\"`, `"`, `\\`, `\`)
	unescapeToken = strings.NewReplacer("~1", "/", "~0", "~")
)

// findKey returns the application's key, else one made from the call's fields, else a fresh one.
func (c *Idempotency) findKey(x *Exchange) (Key, error) {
	if value, found := c.sentKey(x); found {
		if !validKey(value) {
			return Key{}, problem.New(problem.InvalidRequest, "The idempotency key must be 1 to 255 visible ASCII characters.")
		}
		return Key{Value: value, Source: KeyApplication}, nil
	}
	if value, found := c.derive(x); found {
		return Key{Value: value, Source: KeyDerived}, nil
	}
	if c.Required {
		return Key{}, c.keyRequired()
	}
	return Key{Value: uuid.NewString(), Source: KeyFresh}, nil
}

func (c *Idempotency) keyRequired() error {
	return problem.New(problem.KeyRequired, "Send an idempotency key in "+c.Header+": the same one whenever this call is tried again.")
}

// keyMissing reports whether a call will be refused for want of a key, whatever its body holds.
func (c *Idempotency) keyMissing(x *Exchange) bool {
	if c == nil || !c.Required || len(c.KeyFrom) > 0 || !isWrite(x.Request.Method) || x.Replay != nil {
		return false
	}
	_, sent := c.sentKey(x)
	return !sent
}

func (c *Idempotency) sentKey(x *Exchange) (string, bool) {
	for _, name := range [...]string{c.Header, keyFields[0], keyFields[1]} {
		if x.Request.Fields.Has(name) {
			return unquote(x.Request.Fields.Get(name)), true
		}
	}
	return "", false
}

// unquote reads a structured string (RFC 9651 section 3.3.3) as well as a raw key.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return unescapeKey.Replace(s[1 : len(s)-1])
}

func validKey(s string) bool { return len(s) <= maxKey && visible(s) }

// visible reports whether s is visible ASCII, at least one character.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// put writes the key into the field the provider reads, and only there.
func (c *Idempotency) put(x *Exchange) {
	for _, name := range keyFields {
		if !strings.EqualFold(name, c.Header) {
			x.Request.Fields.Del(name)
		}
	}
	value := x.Key.Value
	if c.Format == "structured" {
		value = `"` + escapeKey.Replace(value) + `"`
	}
	x.Request.Fields.Set(c.Header, value)
}

// derive hashes the parts of key_from. All must be there: half an identity would merge different calls.
func (c *Idempotency) derive(x *Exchange) (string, bool) {
	if len(c.KeyFrom) == 0 {
		return "", false
	}
	h := sha256.New()
	var length [8]byte
	for _, part := range c.KeyFrom {
		value, found := keyPart(x, part)
		if !found {
			return "", false
		}
		binary.BigEndian.PutUint64(length[:], uint64(len(value)))
		h.Write(length[:])
		h.Write([]byte(value))
	}
	return hex.EncodeToString(h.Sum(nil)[:20]), true
}

func keyPart(x *Exchange, part string) (string, bool) {
	source, name, _ := strings.Cut(part, ":")
	value := ""
	switch source {
	case "tenant":
		value = x.Tenant
	case "user":
		value = x.User
	case "method":
		value = x.Request.Method
	case "path":
		value, _, _ = strings.Cut(x.Target, "?")
	case "query":
		value = queryValue(x.Request.Query(), name)
	case "header":
		value = x.Request.Fields.Get(name)
	case "body":
		return bodyValue(x.Request.Body.Bytes, name)
	}
	return value, value != ""
}

// queryValue returns the still encoded value of the first parameter called name.
func queryValue(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

// bodyValue finds a scalar in a JSON body by pointer (RFC 6901). Numbers keep their digits, so that 1 and 1.0 differ
// as the provider may see them, and large ones lose nothing.
func bodyValue(body []byte, pointer string) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff")))) // some clients send a byte order mark
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return "", false
	}
	if pointer != "" {
		for token := range strings.SplitSeq(pointer[1:], "/") {
			if value = child(value, unescapeToken.Replace(token)); value == nil {
				return "", false
			}
		}
	}
	switch v := value.(type) {
	case string:
		return "s" + v, v != ""
	case json.Number:
		return "n" + v.String(), true
	case bool:
		return "b" + strconv.FormatBool(v), true
	}
	return "", false
}

func child(value any, token string) any {
	switch v := value.(type) {
	case map[string]any:
		return v[token]
	case []any:
		if n, err := strconv.Atoi(token); err == nil && n >= 0 && n < len(v) && strconv.Itoa(n) == token {
			return v[n]
		}
	}
	return nil
}
