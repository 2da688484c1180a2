package policy

import "strings"

// What net/http says of a request that HTTP/2 did not process, also not in part: a GOAWAY that leaves its stream out, a
// refused stream (RFC 9113 sections 6.8 and 8.7), and a connection that was closing before it could be used, which
// surfaces as a body that cannot be rewound. None of these errors is exported. The whole text is compared, and never
// a part: other errors quote what the external system sent.
const (
	cannotRetry    = "http2: Transport: cannot retry err ["
	afterWritten   = "] after Request.Body was written; define Request.GetBody to avoid this error"
	leftOut        = "http2: Transport received Server's graceful shutdown GOAWAY"
	notUsable      = "http2: client conn not usable"
	refusedStream  = "stream error: stream ID "
	refusedByPeer  = "; REFUSED_STREAM; received from peer"
	cannotRewind   = "net/http: cannot rewind body after connection loss"
	streamIDDigits = "0123456789"
)

func (s *sending) refusedUnprocessed(err error) bool {
	text := err.Error()
	if text == cannotRewind {
		return true
	}
	if !s.multiple {
		return false
	}
	if inner, ok := strings.CutPrefix(text, cannotRetry); ok {
		text, _ = strings.CutSuffix(inner, afterWritten)
	}
	if text == leftOut || text == notUsable {
		return true
	}
	id, ok := strings.CutPrefix(text, refusedStream)
	id, whole := strings.CutSuffix(id, refusedByPeer)
	return ok && whole && strings.Trim(id, streamIDDigits) == ""
}
