package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The fields of AWS Signature Version 4.
const (
	AWSDate          = "X-Amz-Date"
	AWSContentSHA256 = "X-Amz-Content-Sha256"
	AWSToken         = "X-Amz-Security-Token"
	awsAlgorithm     = "AWS4-HMAC-SHA256"
)

// AWSKey signs with AWS Signature Version 4 for one region and service. The key of the day is derived once.
type AWSKey struct {
	region, service string
	secret          []byte
	today           atomic.Pointer[awsDay]
}

type awsDay struct {
	date string
	mac  *MAC
}

// NewAWSKey keeps a copy of the secret access key.
func NewAWSKey(secret []byte, region, service string) *AWSKey {
	return &AWSKey{region: region, service: service, secret: append([]byte("AWS4"), secret...)}
}

func (k *AWSKey) on(date string) *MAC {
	if day := k.today.Load(); day != nil && day.date == date {
		return day.mac
	}
	key := k.secret
	for _, step := range [...]string{date, k.region, k.service, "aws4_request"} {
		key = NewMAC(key).of(step)
	}
	day := &awsDay{date: date, mac: NewMAC(key)}
	k.today.Store(day)
	return day.mac
}

// PayloadHash is the SHA-256 of a body in hex.
func PayloadHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Sign returns the value of Authorization and sets X-Amz-Date. Signed are Host, Content-Type and every X-Amz field, so
// the session token and the payload's hash must be there before, where they are to be sent.
func (k *AWSKey) Sign(r Request, accessKeyID, payloadHash string, at time.Time) string {
	stamp := at.UTC().Format("20060102T150405Z")
	r.Fields.Set(AWSDate, stamp)
	canonical, signed := k.canonical(r, payloadHash)
	sum := sha256.Sum256([]byte(canonical))
	scope := stamp[:8] + "/" + k.region + "/" + k.service + "/aws4_request"
	sig := k.on(stamp[:8]).of(awsAlgorithm + "\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:]))
	return awsAlgorithm + " Credential=" + accessKeyID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(sig)
}

// canonical is the canonical request, and the names of the signed fields.
func (k *AWSKey) canonical(r Request, payloadHash string) (text, signed string) {
	names := []string{"host"}
	for _, f := range r.Fields {
		name := strings.ToLower(f.Name)
		if (name == "content-type" || strings.HasPrefix(name, "x-amz-")) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	signed = strings.Join(names, ";")
	var b strings.Builder
	b.Grow(512)
	b.WriteString(r.Method + "\n" + k.path(r.Path()) + "\n" + canonicalQuery(r.Query()) + "\n")
	for _, name := range names {
		b.WriteString(name + ":" + awsValue(r, name) + "\n")
	}
	b.WriteString("\n" + signed + "\n" + payloadHash)
	return b.String(), signed
}

// awsValue joins the lines of a field and writes every run of spaces as one.
func awsValue(r Request, name string) string {
	if name == "host" {
		return r.Authority
	}
	var lines []string
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			lines = append(lines, strings.Join(strings.Fields(f.Value), " "))
		}
	}
	return strings.Join(lines, ",")
}

// path is the canonical URI: the path as sent for S3; for every other service without empty and dot segments, and
// encoded once more.
func (k *AWSKey) path(path string) string {
	if k.service == "s3" {
		return path
	}
	var kept []string
	segments := strings.Split(path, "/")
	for _, s := range segments {
		switch {
		case s == ".." && len(kept) > 0:
			kept = kept[:len(kept)-1]
		case s != "" && s != "." && s != "..":
			kept = append(kept, awsEncode(s))
		}
	}
	last := segments[len(segments)-1]
	if len(kept) == 0 {
		return "/"
	}
	if last == "" || last == "." || last == ".." {
		return "/" + strings.Join(kept, "/") + "/"
	}
	return "/" + strings.Join(kept, "/")
}

// canonicalQuery decodes each name and value, encodes them as AWS does, and sorts.
func canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	var pairs [][2]string
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, [2]string{awsEncode(queryDecode(name)), awsEncode(queryDecode(value))})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p[0] + "=" + p[1])
	}
	return b.String()
}

// queryDecode undoes the encoding of a name or value. What is no escape stays as it is.
func queryDecode(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s):
			var decoded [1]byte
			if _, err := hex.Decode(decoded[:], []byte(s[i+1:i+3])); err != nil {
				out = append(out, '%')
				continue
			}
			out = append(out, decoded[0])
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

// awsEncode encodes all but the unreserved characters (RFC 3986 section 2.3).
func awsEncode(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
