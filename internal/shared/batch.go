package shared

import (
	"cmp"
	"context"
	_ "embed" // the script
	"errors"
	"slices"
	"strconv"
	"time"
)

//go:embed bucket.lua
var bucketSource string

var bucketScript = NewScript(bucketSource)

// maxBatch bounds the number of those that one script asks for, so that no script holds up Redis: 500 take it some
// 100 µs.
const maxBatch = 500

// ask is one who asks for a token. What is not its own is guarded by the bucket's mutex.
type ask struct {
	maxWait time.Duration
	gone    bool // nobody waits for the answer
	done    chan struct{}
	answer  Answer
	err     error
}

// batch is one run of the script.
type batch struct {
	asks    []*ask
	returns []float64
	empty   time.Time
	spent   int
	refused int
}

// await waits for the answer of a script that somebody else runs. Who stops waiting holds no token.
func (b *Bucket) await(ctx context.Context, a *ask) (Answer, error) {
	select {
	case <-a.done:
		return a.answer, a.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-a.done: // in the same moment
		return a.answer, a.err
	default:
		a.gone = true
		return Answer{}, ctx.Err()
	}
}

// gather makes a batch of everything that is to be told or asked; nil when that is nothing.
func (b *Bucket) gather() *batch {
	b.asks = slices.DeleteFunc(b.asks, func(a *ask) bool { return a.gone })
	n := min(len(b.asks), maxBatch)
	if !b.empty.After(b.now()) {
		b.empty = time.Time{}
	}
	if n == 0 && len(b.returns) == 0 && b.empty.IsZero() {
		b.asks = nil
		return nil
	}
	next := &batch{asks: b.asks[:n:n], returns: b.returns, empty: b.empty, spent: b.spent(), refused: b.refused}
	b.asks, b.returns, b.empty = b.asks[n:], nil, time.Time{}
	slices.SortFunc(next.returns, func(a, b float64) int { return cmp.Compare(b, a) }) // the last reservation first
	return next
}

// start has everything that is to be told sent, now or after the script under way.
func (b *Bucket) start() {
	if b.running {
		return
	}
	if next := b.gather(); next != nil {
		b.running = true
		go b.runAll(next)
	}
}

// runAll runs batches until nobody asks any more. It is not waited for at the end of the process: each batch ends
// within the client's budget, and nobody asks after the last exchange.
func (b *Bucket) runAll(next *batch) {
	for next != nil {
		next = b.run(context.Background(), next)
	}
}

// run runs one batch, and returns the next one; nil when nobody asks.
func (b *Bucket) run(ctx context.Context, now *batch) (next *batch) {
	asked := b.now()
	value, err := b.client.Run(ctx, bucketScript, b.key, b.arguments(now, asked)...)
	reply, readErr := readReply(value, len(now.asks))
	if err == nil {
		err = readErr
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.settle(now, reply, asked)
	} else { // told again with the next asking
		b.empty = later(b.empty, now.empty)
	}
	for _, a := range now.asks {
		a.err = err
		close(a.done)
	}
	if err == nil || len(b.asks) > 0 { // what is only to be told waits for the next who asks
		next = b.gather()
	}
	b.running = next != nil
	return next
}

// arguments are those that bucket.lua lists.
func (b *Bucket) arguments(now *batch, asked time.Time) []any {
	list := make([]any, 0, 7+len(now.returns)+len(now.asks))
	empty := time.Duration(0)
	if !now.empty.IsZero() {
		empty = max(now.empty.Sub(asked), 0)
	}
	list = append(list, quarters(b.interval), b.capacity, now.spent, empty.Microseconds(), b.sidecar, now.refused, len(now.returns))
	for _, slot := range now.returns {
		list = append(list, quarters(slot))
	}
	for _, a := range now.asks {
		list = append(list, a.maxWait.Microseconds())
	}
	return list
}

// quarters writes a multiple of 1/4 exactly.
func quarters(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

// settle answers those who ask. A token for somebody who is gone is given back.
func (b *Bucket) settle(now *batch, r reply, asked time.Time) {
	heard := b.now()
	tat, from := r.tat, max(r.now, r.closed)
	for i, a := range now.asks {
		if a.answer.Granted = r.granted[i]; a.answer.Granted {
			tat += b.interval
			a.answer.slot, a.answer.Wait = tat, micros(max(tat-b.burst(), from)-r.now)
			b.refused = 0
		} else {
			b.refuse()
		}
	}
	owed, closed := micros(tat-r.now), micros(from-r.now)
	b.known = knowledge{asked: asked, earliest: Level{asked.Add(owed), asked.Add(closed)}, latest: Level{heard.Add(owed), heard.Add(closed)}}
	for _, a := range now.asks {
		if a.answer.Level = b.known.latest; a.gone && a.answer.Granted {
			b.giveBack(a.answer)
		}
	}
	if now.spent > 0 {
		b.owed = b.owed.Add(-time.Duration(now.spent) * micros(b.interval))
	}
}

// reply is what bucket.lua returns, in µs of Redis.
type reply struct {
	now, tat, closed float64
	granted          []bool
}

var errReply = errors.New("the bucket's script did not reply as it should")

func readReply(value any, asks int) (reply, error) {
	list, _ := value.([]any)
	if len(list) != 3+asks {
		return reply{}, errReply
	}
	r := reply{granted: make([]bool, asks)}
	for i, number := range []*float64{&r.now, &r.tat, &r.closed} {
		text, _ := list[i].(string)
		var err error
		if *number, err = strconv.ParseFloat(text, 64); err != nil {
			return reply{}, errReply
		}
	}
	for i := range r.granted {
		r.granted[i] = list[3+i] == int64(1)
	}
	return r, nil
}
