package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Signature is an HMAC-SHA256 scheme as providers document it. The systems compute it on their own, not with the
// sidecar's code, so that a mistake there does not confirm itself.
type Signature struct {
	Secret         string        // empty: nothing is verified
	Field          string        // default X-Signature
	Prefix         string        // text before the encoded MAC, such as sha256=
	Encoding       string        // hex (default) or base64
	TimestampField string        // field with the signing time in Unix seconds; empty: none is expected
	IDField        string        // field with the {id} of the attempt; empty: none is expected
	Content        string        // default {body}; also {timestamp} {method} {path} {query} {key} {id} {header:Name}
	Skew           time.Duration // how far the timestamp may be off; default 5 minutes
}

func (s Signature) withDefaults() Signature {
	if s.Field == "" {
		s.Field = "X-Signature"
	}
	if s.Content == "" {
		s.Content = "{body}"
	}
	if s.Skew == 0 {
		s.Skew = 5 * time.Minute
	}
	return s
}

// verify says what is wrong with the signature of a request, or nothing.
func (s Signature) verify(r *http.Request, key string, body []byte, now time.Time) error {
	if s.Secret == "" {
		return nil
	}
	if s.TimestampField != "" {
		sec, err := strconv.ParseInt(r.Header.Get(s.TimestampField), 10, 64)
		if err != nil {
			return fmt.Errorf("%s is not a time in seconds", s.TimestampField)
		}
		if now.Sub(time.Unix(sec, 0)).Abs() > s.Skew {
			return fmt.Errorf("%s is too far from now", s.TimestampField)
		}
	}
	text, ok := strings.CutPrefix(r.Header.Get(s.Field), s.Prefix)
	got, err := s.decode(text)
	if !ok || err != nil {
		return fmt.Errorf("%s is missing or malformed", s.Field)
	}
	mac := hmac.New(sha256.New, []byte(s.Secret))
	mac.Write([]byte(s.content(r, key, body)))
	if !hmac.Equal(got, mac.Sum(nil)) {
		return fmt.Errorf("%s does not match", s.Field)
	}
	return nil
}

func (s Signature) decode(text string) ([]byte, error) {
	if s.Encoding == "base64" {
		return base64.StdEncoding.DecodeString(text)
	}
	return hex.DecodeString(text)
}

// content fills the placeholders in one pass, so that a body with braces in it is not filled again.
func (s Signature) content(r *http.Request, key string, body []byte) string {
	var out strings.Builder
	for rest := s.Content; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		out.WriteString(text)
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		out.WriteString(s.fill(name, r, key, body))
		rest = tail
	}
	return out.String()
}

func (s Signature) fill(name string, r *http.Request, key string, body []byte) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	switch name {
	case "body":
		return string(body)
	case "timestamp":
		return r.Header.Get(s.TimestampField)
	case "id":
		return r.Header.Get(s.IDField)
	case "method":
		return r.Method
	case "path":
		return path
	case "query":
		return query
	case "key":
		return key
	case "header:Host":
		return r.Host // net/http takes it out of the header
	}
	return r.Header.Get(strings.TrimPrefix(name, "header:"))
}
