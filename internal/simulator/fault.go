package simulator

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Kind names a way to fail.
type Kind string

// The kinds of fault. Those that say "accept" come after the side effect, all others instead of it.
const (
	KindNone           Kind = ""                 // no fault: in a queue, a good answer between bad ones
	KindStatus         Kind = "status"           // answers with Status
	KindRetryAfter     Kind = "retry_after"      // answers with Status and Retry-After: Seconds
	KindThrottle       Kind = "throttle"         // answers 429 with Retry-After beyond PerSecond and Burst
	KindHang           Kind = "hang"             // reads the request and never answers
	KindReset          Kind = "reset"            // reads the request and resets the connection
	KindSlow           Kind = "slow"             // works Millis before it answers; does nothing if the caller leaves
	KindTruncate       Kind = "accept_truncate"  // performs the call and sends half of the answer
	KindAcceptThenDrop Kind = "accept_then_drop" // performs the call and closes without an answer
	KindAcceptThenHang Kind = "accept_then_hang" // performs the call and never answers
)

// Fault is one way to fail, as the functions below make it or as the control path reads it.
type Fault struct {
	Kind      Kind    `json:"kind"`
	Status    int     `json:"status,omitempty"`
	Seconds   int     `json:"seconds,omitempty"`
	Millis    int64   `json:"millis,omitempty"`
	PerSecond float64 `json:"per_second,omitempty"`
	Burst     int     `json:"burst,omitempty"`

	limiter *rate.Limiter
}

// None answers well.
func None() Fault { return Fault{} }

// Status answers with code instead of performing the call.
func Status(code int) Fault { return Fault{Kind: KindStatus, Status: code} }

// RetryAfter answers with code and a Retry-After of seconds.
func RetryAfter(code, seconds int) Fault {
	return Fault{Kind: KindRetryAfter, Status: code, Seconds: seconds}
}

// Throttle answers 429 with Retry-After to calls beyond a token bucket. Copies of the fault share the bucket.
func Throttle(perSecond float64, burst int) Fault {
	f := Fault{Kind: KindThrottle, PerSecond: perSecond, Burst: burst}
	return f.ready()
}

// Hang reads the request and never answers; it ends when the caller leaves.
func Hang() Fault { return Fault{Kind: KindHang} }

// Reset reads the request and resets the connection.
func Reset() Fault { return Fault{Kind: KindReset} }

// Slow works for d before it performs the call.
func Slow(d time.Duration) Fault { return Fault{Kind: KindSlow, Millis: d.Milliseconds()} }

// Truncate performs the call and closes the connection in the middle of the answer.
func Truncate() Fault { return Fault{Kind: KindTruncate} }

// AcceptThenDrop performs the call and closes the connection without an answer: whoever sends it again without a key
// that the system honours has ordered twice.
func AcceptThenDrop() Fault { return Fault{Kind: KindAcceptThenDrop} }

// AcceptThenHang performs the call and never answers.
func AcceptThenHang() Fault { return Fault{Kind: KindAcceptThenHang} }

// String is the fault as records show it, such as status(503).
func (f Fault) String() string {
	switch f.Kind {
	case KindStatus:
		return fmt.Sprintf("status(%d)", f.Status)
	case KindRetryAfter:
		return fmt.Sprintf("retry_after(%d, %ds)", f.Status, f.Seconds)
	case KindThrottle:
		return fmt.Sprintf("throttle(%g/s, %d)", f.PerSecond, f.Burst)
	case KindSlow:
		return fmt.Sprintf("slow(%s)", time.Duration(f.Millis)*time.Millisecond)
	}
	return string(f.Kind)
}

// check says what is wrong with a fault that came from outside.
func (f Fault) check() error {
	switch f.Kind {
	case KindNone, KindHang, KindReset, KindTruncate, KindAcceptThenDrop, KindAcceptThenHang:
	case KindStatus, KindRetryAfter:
		if f.Status < 200 || f.Status > 599 || f.Seconds < 0 {
			return fmt.Errorf("%s needs a status from 200 to 599 and seconds of 0 or more", f.Kind)
		}
	case KindThrottle:
		if f.PerSecond <= 0 || f.Burst < 1 {
			return fmt.Errorf("%s needs per_second above 0 and burst of 1 or more", f.Kind)
		}
	case KindSlow:
		if f.Millis <= 0 {
			return fmt.Errorf("%s needs millis above 0", f.Kind)
		}
	default:
		return fmt.Errorf("there is no fault %q", f.Kind)
	}
	return nil
}

// ready gives a throttle its bucket.
func (f Fault) ready() Fault {
	if f.Kind == KindThrottle && f.limiter == nil {
		f.limiter = Limit{PerSecond: f.PerSecond, Burst: f.Burst}.limiter()
	}
	return f
}

// Limit is a token bucket; zero is no limit.
type Limit struct {
	PerSecond float64
	Burst     int
}

func (l Limit) limiter() *rate.Limiter {
	if l == (Limit{}) {
		return nil
	}
	return rate.NewLimiter(rate.Limit(l.PerSecond), l.Burst)
}

// admit takes a token, or returns the 429 that says when there will be one.
func admit(l *rate.Limiter) (answer, bool) {
	if l == nil {
		return answer{}, true
	}
	r := l.Reserve()
	delay := r.Delay()
	if r.OK() && delay == 0 {
		return answer{}, true
	}
	r.Cancel()
	return refusal(http.StatusTooManyRequests, int(math.Ceil(delay.Seconds()))), false
}

func refusal(status, seconds int) answer {
	a := statusError(status, "try_again", http.StatusText(status))
	a.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
	return a
}

// faultQueue hands one fault to each request: first those queued, then the standing one.
type faultQueue struct {
	mu       sync.Mutex
	next     []Fault
	standing Fault
}

func (q *faultQueue) take() Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.next) == 0 {
		return q.standing
	}
	f := q.next[0]
	q.next = q.next[1:]
	return f
}

// Next queues faults: each of the next requests consumes one. Health and control paths consume none.
func (s *System) Next(faults ...Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	for _, f := range faults {
		s.faults.next = append(s.faults.next, f.ready())
	}
}

// Default sets the fault of every request for which none is queued, until it is changed. None() ends an outage.
func (s *System) Default(f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.standing = f.ready()
}

// Recover drops every fault, queued and standing.
func (s *System) Recover() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.next, s.faults.standing = nil, Fault{}
}
