package policy

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// backoff is the wait before retry n (from 1), without jitter.
func (c *Retry) backoff(n int) time.Duration {
	d := float64(c.InitialDelay)
	for range n - 1 {
		if d *= c.Multiplier; d >= float64(c.MaxDelay) {
			return c.MaxDelay.D()
		}
	}
	return time.Duration(d)
}

// delay is the wait before retry n, and whether it fits the deadline. Retry-After is obeyed exactly: it can lengthen
// the backoff, and neither jitter nor the maximum shortens it.
func (p *retryPlan) delay(x *Exchange, resp *wire.Response, n int) (time.Duration, bool) {
	d := p.backoff(n)
	d += time.Duration(float64(d) * p.JitterFactor * rand.Float64())
	if resp != nil {
		d = max(d, retryAfter(resp.Fields, time.Now()))
	}
	return d, d < x.Remaining()
}

// retryAfter reads Retry-After, in seconds or as a date (RFC 9110 section 10.2.3). 0: absent, unreadable or past.
func retryAfter(f wire.Fields, now time.Time) time.Duration {
	value := strings.TrimSpace(f.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) { // out of range is the largest
		return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	for _, layout := range []string{httpDate, time.RFC850, time.ANSIC} {
		if at, err := time.Parse(layout, value); err == nil {
			return min(max(at.Sub(now), 0), maxRetryAfter)
		}
	}
	return 0
}

const (
	httpDate      = "Mon, 02 Jan 2006 15:04:05 GMT" // IMF-fixdate, RFC 9110 section 5.6.7
	maxRetryAfter = 365 * 24 * time.Hour            // keeps arithmetic in range; no deadline is as long
)
