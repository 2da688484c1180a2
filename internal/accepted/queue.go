package accepted

import (
	"cmp"
	"container/heap"
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// queue is the order of what waits. It is not safe for concurrent use by itself.
type queue struct {
	lanes   map[string]*lane // by adapter name
	entries map[string]*entry
}

// A lane is what waits for one adapter. Its groups are in one of two heaps or in that of a stall, or a member of theirs is
// under way.
type lane struct {
	adapter string
	groups  map[groupKey]*group
	ready   groupHeap // the oldest member first
	later   groupHeap // put back: the one first whose time comes first
	stalls  map[tenantKey]*stall
	stalled stallHeap // all of stalls
	all     *list.List
	running int
	paused  time.Time // nothing of this lane is due before
	pauses  int       // since an exchange ended
}

// A group are the exchanges that must follow one another, in order of acceptance. Only its first member is ever due.
type group struct {
	key     groupKey
	members []*entry
	in      *groupHeap // nil: a member is under way
	index   int        // in it
	letOut  bool       // of its tenant's stall
}

// groupKey is a hash of tenant and order key.
type groupKey [16]byte

// An entry is what is remembered of an exchange that has not ended.
type entry struct {
	id       string
	sequence uint64
	accepted time.Time
	due      time.Time // zero: at once
	tries    int       // that were put back
	unsent   bool      // this process knows that its own last try was not sent
	lane     *lane
	group    *group
	element  *list.Element
	key      groupKey
	tenant   tenantKey
	adapter  string

	// What replicas need, guarded by theirs.
	size    int           // of the body on disk
	large   bool          // too large to be copied
	copy    copyState     // what Redis has of it
	changes uint64        // since it was queued, of which Redis is to be told
	arrived chan struct{} // closed when there is a copy; nil: nobody waits for that
}

func newQueue() queue { return queue{lanes: map[string]*lane{}, entries: map[string]*entry{}} }

func newEntry(id string, r *record) *entry {
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(r.Tenant)))) // a hash never fails
	_, _ = h.Write(r.Tenant)
	tenant := tenantKey(h.Sum(nil)[:16])
	_, _ = h.Write(r.Order)
	return &entry{id: id, sequence: r.Sequence, accepted: r.Accepted, key: groupKey(h.Sum(nil)), tenant: tenant, adapter: r.Adapter, size: r.Body.Size}
}

func (q *queue) push(e *entry) {
	l := q.lanes[e.adapter]
	if l == nil {
		l = &lane{adapter: e.adapter, groups: map[groupKey]*group{}, stalls: map[tenantKey]*stall{}, all: list.New(), ready: groupHeap{less: older}, later: groupHeap{less: sooner}}
		q.lanes[e.adapter] = l
	}
	q.entries[e.id], e.lane = e, l
	at := l.all.Back()
	for at != nil && at.Value.(*entry).sequence > e.sequence {
		at = at.Prev()
	}
	if at == nil {
		e.element = l.all.PushFront(e)
	} else {
		e.element = l.all.InsertAfter(e, at)
	}
	l.join(e)
}

// join adds an entry to its group. Those accepted at the same time may come in another order than theirs.
func (l *lane) join(e *entry) {
	g := l.groups[e.key]
	if g == nil {
		g = &group{key: e.key, members: []*entry{e}}
		l.groups[e.key], e.group = g, g
		l.offer(g)
		return
	}
	e.group = g
	first := 0
	if g.index < 0 { // the first one is under way
		first = 1
	}
	at, _ := slices.BinarySearchFunc(g.members[first:], e.sequence, func(m *entry, s uint64) int { return cmp.Compare(m.sequence, s) })
	g.members = slices.Insert(g.members, first+at, e)
	if at == 0 && first == 0 {
		l.withdraw(g)
		l.offer(g)
	}
}

// next takes the first exchange that is due out of a lane with fewer than limit under way. Without one it returns the
// time of the next that will be, zero when there is none.
func (q *queue) next(now time.Time, limit int) (*entry, time.Time) {
	var soonest time.Time
	for _, l := range q.lanes {
		if l.running >= limit || len(l.groups) == l.running {
			continue
		}
		at := l.due(now)
		if !at.After(now) {
			g := heap.Pop(&l.ready).(*group)
			g.letOut = false
			l.running++
			return g.members[0], time.Time{}
		}
		if soonest.IsZero() || at.Before(soonest) {
			soonest = at
		}
	}
	return nil, soonest
}

// due says when the lane has something, and makes it ready when that is now.
func (l *lane) due(now time.Time) time.Time {
	if l.paused.After(now) {
		return l.paused
	}
	for len(l.later.groups) > 0 && !l.later.groups[0].members[0].due.After(now) {
		heap.Push(&l.ready, heap.Pop(&l.later))
	}
	l.letOut(now)
	l.holdBack()
	if len(l.ready.groups) > 0 {
		return now
	}
	var soonest time.Time
	if len(l.later.groups) > 0 {
		soonest = l.later.groups[0].members[0].due
	}
	if len(l.stalled) > 0 && (soonest.IsZero() || l.stalled[0].from.Before(soonest)) {
		soonest = l.stalled[0].from
	}
	return soonest
}

// putBack ends a try: the exchange is due again at the given time.
func (q *queue) putBack(e *entry, due time.Time) {
	e.due = due
	e.tries++
	e.lane.running--
	e.lane.offer(e.group)
}

// remove ends a try for good: what follows in its group is due.
func (q *queue) remove(e *entry) {
	l, g := e.lane, e.group
	delete(q.entries, e.id)
	l.all.Remove(e.element)
	l.running--
	l.pauses = 0
	if g.members = g.members[1:]; len(g.members) > 0 {
		l.offer(g)
		return
	}
	if delete(l.groups, g.key); len(l.groups) == 0 {
		delete(q.lanes, l.adapter)
	}
}

// forget removes an entry that is not under way; false means that it is.
func (q *queue) forget(e *entry) bool {
	l, g := e.lane, e.group
	at := slices.Index(g.members, e)
	if at == 0 {
		if g.in == nil {
			return false
		}
		l.withdraw(g)
		g.letOut = false
	}
	delete(q.entries, e.id)
	l.all.Remove(e.element)
	if g.members = slices.Delete(g.members, at, at+1); len(g.members) > 0 {
		if at == 0 {
			l.offer(g)
		}
		return true
	}
	if delete(l.groups, g.key); len(l.groups) == 0 {
		delete(q.lanes, l.adapter)
	}
	return true
}

// before is the entry that must end before this one is due; nil when there is none.
func (e *entry) before() *entry {
	members := e.group.members
	if members[0] == e {
		return nil
	}
	at, _ := slices.BinarySearchFunc(members[1:], e.sequence, func(m *entry, s uint64) int { return cmp.Compare(m.sequence, s) })
	return members[at] // members[1:][at] is e itself
}

// offer puts a group into the heap it belongs to.
func (l *lane) offer(g *group) {
	if g.members[0].due.IsZero() {
		heap.Push(&l.ready, g)
	} else {
		heap.Push(&l.later, g)
	}
}

// withdraw takes a group out of the heap it is in.
func (l *lane) withdraw(g *group) { heap.Remove(g.in, g.index) }

func (q *queue) stats() map[string]AdapterStats {
	byAdapter := make(map[string]AdapterStats, len(q.lanes))
	for name, l := range q.lanes {
		byAdapter[name] = AdapterStats{Waiting: l.all.Len() - l.running, Running: l.running, Oldest: l.all.Front().Value.(*entry).accepted}
	}
	return byAdapter
}

// groupHeap implements heap.Interface.
type groupHeap struct {
	groups []*group
	less   func(a, b *entry) bool
}

func older(a, b *entry) bool  { return a.sequence < b.sequence }
func sooner(a, b *entry) bool { return a.due.Before(b.due) }

func (h *groupHeap) Len() int { return len(h.groups) }
func (h *groupHeap) Less(i, j int) bool {
	return h.less(h.groups[i].members[0], h.groups[j].members[0])
}
func (h *groupHeap) Swap(i, j int) {
	h.groups[i], h.groups[j] = h.groups[j], h.groups[i]
	h.groups[i].index, h.groups[j].index = i, j
}

// Push implements heap.Interface.
func (h *groupHeap) Push(g any) {
	g.(*group).in, g.(*group).index = h, len(h.groups)
	h.groups = append(h.groups, g.(*group))
}

// Pop implements heap.Interface.
func (h *groupHeap) Pop() any {
	last := len(h.groups) - 1
	g := h.groups[last]
	h.groups[last] = nil
	h.groups, g.in, g.index = h.groups[:last], nil, -1
	return g
}
