package telemetry

import (
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// TraceContext says where in a trace a call stands (W3C Trace Context). The zero value is nowhere.
type TraceContext struct {
	Trace trace.TraceID
	Span  trace.SpanID // parent-id, on its way
	Flags trace.TraceFlags
}

// knownFlags are the bits this version of the format defines; the others must be sent as zero (section 3.2.2.5).
const knownFlags = trace.FlagsSampled | trace.FlagsRandom

// traceparentLength is that of version 00: 00-<32>-<16>-<2>.
const traceparentLength = 2 + 1 + 32 + 1 + 16 + 1 + 2

// ParseTraceparent reads the value of a traceparent field (section 3.2). Versions to come are read as far as they are
// known, as section 3.2.3 asks; version ff, ids of zeros, capitals and every other deviation are not ok.
func ParseTraceparent(text string) (c TraceContext, ok bool) {
	text = strings.Trim(text, " \t")
	if len(text) < traceparentLength || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return TraceContext{}, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], text[:2]) || !lowerHex(c.Trace[:], text[3:35]) || !lowerHex(c.Span[:], text[36:52]) || !lowerHex(flags[:], text[53:55]) {
		return TraceContext{}, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(text) > traceparentLength:
		return TraceContext{}, false
	case len(text) > traceparentLength && text[traceparentLength] != '-':
		return TraceContext{}, false
	case !c.Trace.IsValid() || !c.Span.IsValid():
		return TraceContext{}, false
	}
	c.Flags = trace.TraceFlags(flags[0]) & knownFlags
	return c, true
}

// lowerHex decodes text, which must not hold capitals.
func lowerHex(into []byte, text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(into, []byte(text))
	return err == nil
}

// String is the traceparent, of version 00.
func (c TraceContext) String() string {
	b := make([]byte, 0, traceparentLength)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.Span[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, []byte{byte(c.Flags)})
	return string(b)
}

// Canonical reports whether a traceparent that was ok is what String would return of it: of version 00, with no flags
// but known ones.
func Canonical(traceparent string) bool {
	return traceparent[:2] == "00" && traceparent[53] == '0' && traceparent[54] <= '0'+byte(knownFlags)
}

// TraceIDOf is the trace-id of a traceparent that is ok.
func TraceIDOf(traceparent string) string { return traceparent[3:35] }

// SpanIDOf is the parent-id of a traceparent.
func SpanIDOf(traceparent string) string { return traceparent[36:52] }
