package policy

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// bucketState is what an answer or a gauge says of a bucket.
type bucketState struct {
	tokens    float64       // 0 also when some are reserved
	remaining int           // whole tokens
	next      time.Duration // until the next caller finds one
	full      time.Duration // until it is full
}

// stateOf is the state of a bucket with these settings that stands at a level.
func stateOf(s *RateLimit, l shared.Level, now time.Time) bucketState {
	closed, lacks := l.Open.Sub(now), max(l.Full.Sub(now), 0)
	tokens := max(float64(s.Capacity)-lacks.Seconds()*s.RefillRate, 0)
	if closed > 0 {
		tokens = 0
	}
	interval := float64(time.Second) / s.RefillRate
	next := l.Next(time.Duration(interval), time.Duration(interval*float64(s.Capacity))).Sub(now)
	return bucketState{tokens: tokens, remaining: int(tokens + epsilon), next: max(next, time.Millisecond), full: max(lacks, closed)}
}

// fields renders the state as RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10) and as the
// three older fields most client libraries read.
func (b bucketState) fields(s *RateLimit) wire.Fields {
	window := int64(math.Ceil(float64(s.Capacity) / s.RefillRate))
	next, full := problem.Seconds(b.next), problem.Seconds(b.full)
	return wire.Fields{
		{Name: "RateLimit-Policy", Value: fmt.Sprintf(`"adapter";q=%d;w=%d`, s.Capacity, window)},
		{Name: "RateLimit", Value: fmt.Sprintf(`"adapter";r=%d;t=%d`, b.remaining, next)},
		{Name: "RateLimit-Limit", Value: strconv.Itoa(s.Capacity)},
		{Name: "RateLimit-Remaining", Value: strconv.Itoa(b.remaining)},
		{Name: "RateLimit-Reset", Value: strconv.FormatInt(full, 10)},
	}
}
