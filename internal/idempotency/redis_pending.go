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

// add queues s. When there is no room for its outcome's body, that is left out; when there is none at all, the oldest
// settlement goes.
func (p *pending) add(s *settlement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+len(s.body()) > p.mostBytes {
		p.omit(s)
	}
	s.place = p.queue.PushBack(s)
	p.bytes += len(s.body())
	for p.queue.Len() > p.most {
		p.dropped = append(p.dropped, p.take(p.queue.Front()))
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
	if s.place != nil {
		p.bytes += len(after) - len(before)
	}
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

const (
	batchSize  = 64
	batchBytes = 256 << 10
	// shortenAfter is how often a large outcome is tried whole. On a slow network its body is left out then, so that it
	// arrives at all.
	shortenAfter = 3
	largeOutcome = 4 << 10
)

// oldest returns the settlements to try next: one that failed is tried alone.
func (p *pending) oldest() (batch []*settlement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := 0
	if e := p.queue.Front(); e != nil && e.Value.(*settlement).tries > 0 {
		return []*settlement{e.Value.(*settlement)}
	}
	for e := p.queue.Front(); e != nil && len(batch) < batchSize; e = e.Next() {
		s := e.Value.(*settlement)
		if s.tries > 0 {
			break
		}
		if bytes += len(s.body()); bytes > batchBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, s)
	}
	return batch
}

// failed notes that Redis did not take s although it was asked. Others go first.
func (p *pending) failed(s *settlement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.tries++; s.tries >= shortenAfter && len(s.body()) > largeOutcome {
		p.omit(s)
	}
	if s.place != nil {
		p.queue.MoveToBack(s.place)
	}
}

func (p *pending) size() (settlements, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.Len(), p.bytes
}
