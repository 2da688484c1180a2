package idempotency

import (
	"container/list"
	"sync"
)

// pending is a bounded queue of settlements that Redis has not taken yet. The oldest are tried first.
type pending struct {
	mu        sync.Mutex
	queue     *list.List // of *settlement
	bytes     int
	most      int // settlements
	mostBytes int
	added     chan struct{} // wakes who tries
	dropped   []*settlement // beyond the bound, not given up yet
}

func (p *pending) init(most, mostBytes int) {
	p.queue, p.most, p.mostBytes, p.added = list.New(), most, mostBytes, make(chan struct{}, 1)
}

// add queues s, at the cost of the oldest when there is no room.
func (p *pending) add(s *settlement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.place = p.queue.PushBack(s)
	p.bytes += len(s.body())
	for p.queue.Len() > p.most {
		p.dropped = append(p.dropped, p.take(p.queue.Front()))
	}
	for e := p.queue.Front(); e != nil && p.bytes > p.mostBytes; e = e.Next() {
		p.omit(e.Value.(*settlement))
	}
	select {
	case p.added <- struct{}{}:
	default:
	}
}

// beyond returns what has to be given up.
func (p *pending) beyond() []*settlement {
	p.mu.Lock()
	defer p.mu.Unlock()
	dropped := p.dropped
	p.dropped = nil
	return dropped
}

// omit leaves the body out of an outcome, and its fields as well: what remains is that the call was answered.
func (p *pending) omit(s *settlement) {
	before := s.body()
	if len(before) == 0 {
		return
	}
	short := &Outcome{Omitted: true}
	if o, err := decodeOutcome(before); err == nil {
		short.Status = o.Status
	}
	after := encodeOutcome(short)
	s.outcome.Store(&after)
	p.bytes += len(after) - len(before)
}

func (p *pending) take(e *list.Element) *settlement {
	s := p.queue.Remove(e).(*settlement)
	s.place = nil
	p.bytes -= len(s.body())
	return s
}

// remove forgets s; it may be gone already.
func (p *pending) remove(s *settlement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.place != nil {
		p.take(s.place)
	}
}

// Batches are small enough for one budget.
const (
	batchSize  = 64
	batchBytes = 1 << 20
)

// oldest returns the settlements to try next.
func (p *pending) oldest() (batch []*settlement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := 0
	for e := p.queue.Front(); e != nil && len(batch) < batchSize; e = e.Next() {
		s := e.Value.(*settlement)
		if bytes += len(s.body()); bytes > batchBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, s)
	}
	return batch
}

// putOff lets the others go first.
func (p *pending) putOff(s *settlement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.place != nil {
		p.queue.MoveToBack(s.place)
	}
}

func (p *pending) size() (settlements, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.Len(), p.bytes
}
