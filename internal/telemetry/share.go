package telemetry

import (
	"encoding/binary"
	"hash/fnv"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// Share takes a share of all calls, the same ones wherever their ids are seen: by the lower half of the trace id, as
// the TraceIDRatioBased sampler of OpenTelemetry does, so that a smaller share is part of a larger one. It may change
// while in use.
type Share struct{ bound atomic.Uint64 }

// NewShare returns the share of ratio, 0 to 1.
func NewShare(ratio float64) *Share {
	s := new(Share)
	s.Set(ratio)
	return s
}

// Set changes the share.
func (s *Share) Set(ratio float64) {
	s.bound.Store(uint64(min(max(ratio, 0), 1) * (1 << 63)))
}

// OfTrace reports whether the calls of a trace are in the share.
func (s *Share) OfTrace(id trace.TraceID) bool { return s.takes(binary.BigEndian.Uint64(id[8:])) }

// OfText reports whether the call with another kind of id, such as a correlation id, is in the share.
func (s *Share) OfText(id string) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	x := h.Sum64()
	x ^= x >> 32 // FNV leaves the high bits of short texts alike
	x *= 0xd6e8feb86659fd93
	return s.takes(x ^ x>>32)
}

func (s *Share) takes(x uint64) bool { return x>>1 < s.bound.Load() }
