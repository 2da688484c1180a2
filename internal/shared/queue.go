package shared

import (
	"context"
	"sync"
)

// directCalls is how many calls run by themselves at a time. More would wait for connections, and for the processor: they
// travel together instead.
const directCalls = 16

// maxTogether bounds the calls of one round trip, so that none is large.
const maxTogether = 128

// queue lets calls run by themselves while they are few, and together when they are many. Nobody is delayed to collect
// company.
type queue struct {
	client *Client

	mu      sync.Mutex
	running int
	waiting []*queued
}

type queued struct {
	Call
	ctx   context.Context
	reply Reply
	done  chan struct{}
}

// run runs a call, and returns when it is done or ctx has ended.
func (q *queue) run(ctx context.Context, call Call) Reply {
	q.mu.Lock()
	if q.running < directCalls {
		q.running++
		q.mu.Unlock()
		reply := q.client.runOne(ctx, call)
		q.next()
		return reply
	}
	c := &queued{Call: call, ctx: ctx, done: make(chan struct{})}
	q.waiting = append(q.waiting, c)
	q.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, q.client.config.Budget)
	defer cancel()
	select {
	case <-c.done:
		return c.reply
	case <-limited.Done():
		return Reply{Err: limited.Err()}
	}
}

// next gives the place of a call that is done to those that wait.
func (q *queue) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running--
		return
	}
	go q.together(q.take())
}

// take removes those that travel next. The queue is locked.
func (q *queue) take() []*queued {
	n := min(len(q.waiting), maxTogether)
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
	}
	return batch
}

// together runs those that nobody has given up.
func (q *queue) together(batch []*queued) {
	var wanted []*queued
	var calls []Call
	for _, c := range batch {
		if c.ctx.Err() == nil {
			wanted, calls = append(wanted, c), append(calls, c.Call)
		}
	}
	if len(calls) > 0 {
		for i, reply := range q.client.RunAll(context.Background(), calls) {
			wanted[i].reply = reply
			close(wanted[i].done)
		}
	}
	q.next()
}
