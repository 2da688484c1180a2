package idempotency

import (
	"container/list"
	"sync"
)

// recent are ends of this process's own calls that Redis knows. They are asked for only when Redis is not there: an
// application that repeats a call comes to the same sidecar, as a rule, and shall not see it done twice for that.
type recent struct {
	mu    sync.Mutex
	known map[Scope]*list.Element
	queue *list.List // of *settlement, the oldest first
	bytes int
}

const (
	mostRecent      = 4096
	mostRecentBytes = 2 << 20
	largestRecent   = 16 << 10 // of one outcome
)

func (c *recent) init() { c.known, c.queue = make(map[Scope]*list.Element), list.New() }

// add remembers how a call ended, in the place of what was known of its key.
func (c *recent) add(s *settlement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(s.scope)
	if s.step != finish && s.step != abandon || len(s.body()) > largestRecent {
		return
	}
	c.known[s.scope] = c.queue.PushBack(s)
	c.bytes += len(s.body())
	for c.queue.Len() > mostRecent || c.bytes > mostRecentBytes {
		c.drop(c.queue.Front().Value.(*settlement).scope)
	}
}

// get returns what is remembered of a key; nil when that is nothing.
func (c *recent) get(scope Scope) *settlement {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.known[scope]; e != nil {
		return e.Value.(*settlement)
	}
	return nil
}

// forget is told that the key has another owner now.
func (c *recent) forget(scope Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(scope)
}

func (c *recent) drop(scope Scope) {
	if e := c.known[scope]; e != nil {
		c.bytes -= len(c.queue.Remove(e).(*settlement).body())
		delete(c.known, scope)
	}
}
