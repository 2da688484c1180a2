package shared

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"math"
	"sync"
	"time"
)

// Bucket is a token bucket that all sidecars of an application take from.
//
// A token is granted with the time at which it may be used: who waits has it reserved, in the order in which Redis was
// asked, whichever sidecar asked. So a call makes one round trip, also when it waits; calls that come while one is
// under way are asked for together in the next (batch.go). No sidecar holds tokens in stock, so the limit is exact over
// all of them, but for the time between the grant and the sending. When there are more calls than tokens, sidecars take
// turns.
//
// A script that Redis runs twice (see Client.Run) takes more tokens than it grants, never fewer.
type Bucket struct {
	client   *Client
	key      string
	sidecar  string // tells who asks; random
	capacity int
	interval float64 // µs between two tokens
	now      func() time.Time

	mu      sync.Mutex
	refused int       // takes refused since the last grant, in a row without a pause of refusedLately
	lately  time.Time // when the last was refused
	running bool      // a script is under way
	asks    []*ask    // for the next script
	returns []float64 // reservations for the next script to give back
	empty   time.Time // until when the next script is to close the bucket, emptied; zero: it is not
	owed    time.Time // when what was spent without Redis would have been refilled
	known   knowledge
}

// NewBucket returns the bucket of key, which holds capacity tokens and gets refillRate new ones a second. Nothing is
// asked of Redis. Sidecars that know the bucket by other settings, as in a rollout, share what was taken, in tokens.
func NewBucket(c *Client, key string, capacity int, refillRate float64) *Bucket {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Bucket{client: c, key: key, sidecar: hex.EncodeToString(id[:]), capacity: capacity, now: time.Now,
		interval: math.Ceil(4*1e6/refillRate) / 4} // rounded to what the script computes exactly, never to a higher rate
}

// Answer is what a bucket says to one who asks for a token.
type Answer struct {
	Granted bool
	Wait    time.Duration // until the granted token may be used
	Level   Level
	slot    float64 // the theoretical arrival time that this grant set
}

// Level is how a bucket stands.
type Level struct {
	Full time.Time // when it is full if nobody takes more; past: it is full
	Open time.Time // until then it gives no token, whatever is in it
}

// Next is when the next token may be used, of a bucket that gets one every interval and is refilled in burst.
func (l Level) Next(interval, burst time.Duration) time.Time {
	return later(l.Full.Add(interval-burst), l.Open)
}

// Take asks for a token that may be used within maxWait. It does not sleep: see Answer.Wait. When it is known that there
// is none, it answers so without a round trip. An error means that Redis did not answer before the client's budget or
// ctx ended, and that no token is held. The deadline of ctx ends a script that this call runs, but cancelling ctx does
// not, or nobody would know whether it took a token: who left gives back what was granted.
func (b *Bucket) Take(ctx context.Context, maxWait time.Duration) (Answer, error) {
	if !b.client.Up() {
		return Answer{}, b.client.observe(0, ErrDown)
	}
	b.mu.Lock()
	if b.known.deny(b, max(maxWait, 0)) {
		defer b.mu.Unlock()
		b.refuse()
		return Answer{Level: b.known.latest}, nil
	}
	if err := ctx.Err(); err != nil {
		b.mu.Unlock()
		return Answer{}, err
	}
	a := &ask{maxWait: max(maxWait, 0), done: make(chan struct{})}
	b.asks = append(b.asks, a)
	if b.running {
		b.mu.Unlock()
		return b.await(ctx, a)
	}
	b.running = true
	alone := b.gather()
	b.mu.Unlock()
	uncut, cancel := detach(ctx)
	defer cancel()
	if more := b.run(uncut, alone); more != nil {
		go b.runAll(more)
	}
	return a.answer, a.err
}

// refusedLately is the pause after which a refusal is no sign any more that there are more calls than tokens.
const refusedLately = 250 * time.Millisecond

// refuse notes that a take was refused.
func (b *Bucket) refuse() {
	now := b.now()
	if now.Sub(b.lately) > refusedLately {
		b.refused = 0
	}
	b.refused, b.lately = b.refused+1, now
}

// detach returns a context that ends at the deadline of ctx, but not when ctx is cancelled.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, bounded := ctx.Deadline(); bounded {
		return context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	return context.WithoutCancel(ctx), func() {}
}

// Return gives back a token that was granted and not used, in its own time and as well as it can: when tokens were
// granted after it, they have their times already, and this one is lost.
func (b *Bucket) Return(a Answer) {
	if !a.Granted || !b.client.Up() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giveBack(a)
	b.start()
}

func (b *Bucket) giveBack(a Answer) {
	if len(b.returns) < maxBatch {
		b.returns = append(b.returns, a.slot)
	}
}

// Empty takes what is in the bucket and closes it until then, for all sidecars, in its own time. Meanwhile it refills.
// For how long an external system may close its adapter is for the caller to bound.
func (b *Bucket) Empty(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	full := Emptied(now, until, micros(b.interval), micros(b.burst()))
	emptied := func(l Level) Level { return Level{later(l.Full, full), later(l.Open, until)} }
	b.known = knowledge{asked: now, earliest: emptied(b.known.earliest), latest: emptied(b.known.latest)}
	b.empty = later(b.empty, until)
	if b.client.Up() {
		b.start()
	}
}

// Emptied is when a bucket is full that is emptied now and closed until a time. One token is in it then, also when it gets
// them more slowly: who was refused by the external system comes back for it.
func Emptied(now, until time.Time, interval, burst time.Duration) time.Time {
	if last := until.Add(-interval); last.Before(now) {
		now = last
	}
	return now.Add(burst)
}

// Spend notes that a token was spent without Redis. The next Take tells Redis how many of them would not have been
// refilled by then.
func (b *Bucket) Spend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owed = later(b.owed, b.now()).Add(micros(b.interval))
}

// spent is the number of tokens that are owed. It is rounded up.
func (b *Bucket) spent() int {
	return max(int(math.Ceil(float64(b.owed.Sub(b.now()))/float64(micros(b.interval)))), 0)
}

// Level is how the bucket stands, as far as this sidecar knows. It asks nobody.
func (b *Bucket) Level() Level {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.latest
}

// Idle reports whether a new Bucket of the same key would know and do the same.
func (b *Bucket) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	return !b.running && !b.known.latest.Full.After(now) && !b.known.latest.Open.After(now) && !b.owed.After(now)
}

// burst is the time in which an empty bucket is refilled, in µs.
func (b *Bucket) burst() float64 { return float64(b.capacity) * b.interval }

// knowledge is how the bucket stands, in this process's time, as of a reply. The time of Redis is somewhere between
// asking and hearing, so it has two bounds. Others' takings only make it later.
type knowledge struct {
	asked            time.Time // zero: nothing is known
	earliest, latest Level
}

// knowledgeLife is how long a denial is repeated without asking. A token that another sidecar gave back, or a Redis
// that forgot everything, is noticed after it.
const knowledgeLife = time.Second

// deny reports whether there is certainly no token within maxWait.
func (k *knowledge) deny(b *Bucket, maxWait time.Duration) bool {
	now := b.now()
	return now.Sub(k.asked) < knowledgeLife && k.earliest.Next(micros(b.interval), micros(b.burst())).Sub(now) > maxWait
}

func micros(n float64) time.Duration { return time.Duration(n * float64(time.Microsecond)) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
