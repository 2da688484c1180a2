package accepted

import (
	"container/heap"
	"time"
)

// tenantKey is a hash of a tenant.
type tenantKey [16]byte

// A stall holds back what one tenant has in a lane: whatever is tried would meet what the last try met, such as an empty
// bucket. One group, the oldest, is let out at a time, however many wait; so those of others are not behind them.
type stall struct {
	tenant  tenantKey
	from    time.Time     // when the next is let out
	every   time.Duration // and the one after it
	waiting groupHeap
	index   int // in its heap
}

// mostBehind bounds how many are let out at once that should have been one by one: while nobody asked.
const mostBehind = 8

// hold stalls the tenant of a group until from, or prolongs its stall.
func (l *lane) hold(tenant tenantKey, from time.Time, every time.Duration) {
	s := l.stalls[tenant]
	if s == nil {
		s = &stall{tenant: tenant, from: from, every: every, waiting: groupHeap{less: older}}
		l.stalls[tenant] = s
		heap.Push(&l.stalled, s)
		return
	}
	s.from, s.every = from, every
	heap.Fix(&l.stalled, s.index)
}

// letOut makes ready what stalls let out by now, and ends those behind which nothing waits.
func (l *lane) letOut(now time.Time) {
	for len(l.stalled) > 0 && !l.stalled[0].from.After(now) {
		s := l.stalled[0]
		if s.waiting.Len() == 0 {
			heap.Pop(&l.stalled)
			delete(l.stalls, s.tenant)
			continue
		}
		g := heap.Pop(&s.waiting).(*group)
		g.letOut = true
		heap.Push(&l.ready, g)
		if s.from = s.from.Add(s.every); s.from.Before(now.Add(-mostBehind * s.every)) {
			s.from = now.Add(-mostBehind * s.every)
		}
		heap.Fix(&l.stalled, 0)
	}
}

// holdBack moves what is ready and stalled out of the way of what is only ready.
func (l *lane) holdBack() {
	for len(l.ready.groups) > 0 {
		g := l.ready.groups[0]
		s := l.stalls[g.members[0].tenant]
		if s == nil || g.letOut {
			return
		}
		heap.Push(&s.waiting, heap.Pop(&l.ready))
	}
}

// unstall ends all stalls: what they were for may be over.
func (l *lane) unstall() {
	for _, s := range l.stalled {
		for s.waiting.Len() > 0 {
			heap.Push(&l.ready, heap.Pop(&s.waiting))
		}
		delete(l.stalls, s.tenant)
	}
	l.stalled = nil
}

// stallHeap implements heap.Interface: the one first that lets out first.
type stallHeap []*stall

func (h stallHeap) Len() int           { return len(h) }
func (h stallHeap) Less(i, j int) bool { return h[i].from.Before(h[j].from) }
func (h stallHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *stallHeap) Push(s any) {
	s.(*stall).index = len(*h)
	*h = append(*h, s.(*stall))
}

// Pop implements heap.Interface.
func (h *stallHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	return s
}
