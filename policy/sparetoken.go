package policy

import "time"

// leastLook is the least time between two looks at a bucket: a shared one is asked over the network.
const leastLook = 20 * time.Millisecond

// takeSpare gets a token that the application can spare: it leaves half of a bucket to the application's calls, and
// reserves nothing. So letters go out at the pace of the limit while nothing else does, and fill the gaps while the
// application is at work; when it takes all there is, the replay ends as rate-limited at its deadline.
//
// Of a bucket that sidecars share it knows what it heard last; the bucket itself decides.
func (l *Limiter) takeSpare(x *Exchange) error {
	hits := x.LimitHits
	for {
		pause, state := l.untilSpare(x.Tenant)
		if pause <= 0 {
			err := l.take(x, 0)
			if err == nil || x.Ctx.Err() != nil {
				x.LimitHits = hits
				return err
			}
			pause = leastLook
		}
		if pause > x.Remaining() {
			x.LimitHits = hits + 1
			return rateLimited(&l.settings, state)
		}
		start := x.clock()
		err := x.wait(pause)
		x.waited(waitLimit, start)
		if err != nil {
			return err
		}
		x.LimitWait += pause
	}
}

// trySpare is takeSpare without waiting.
func (l *Limiter) trySpare(x *Exchange) error {
	pause, state := l.untilSpare(x.Tenant)
	if pause <= 0 {
		return l.take(x, 0)
	}
	x.LimitHits++
	state.next = pause
	return rateLimited(&l.settings, state)
}

// untilSpare is the time until a bucket is half full, or has its only token, if nobody takes any meanwhile; 0 when it is.
func (l *Limiter) untilSpare(tenant string) (time.Duration, bucketState) {
	now := time.Now()
	state := stateOf(&l.settings, l.bucket(tenant).level(now), now)
	lacks := 1 + float64(l.settings.Capacity-1)/2 - state.tokens
	if lacks <= epsilon {
		return 0, state
	}
	pause := max(time.Duration(lacks/l.settings.RefillRate*float64(time.Second)), leastLook)
	if state.tokens == 0 { // it may be closed for longer than it takes to refill
		pause = max(pause, state.next)
	}
	return pause, state
}
