package policy

import (
	"sync"
	"time"
)

// budget bounds the retries of one external system to a share of its calls, over a sliding window, so that retries
// cannot multiply an outage. A small reserve keeps a quiet adapter able to retry.
type budget struct {
	mu      sync.Mutex
	now     func() time.Time
	slots   [budgetWindow]budgetSlot // one a second
	calls   int
	retries int
	last    int64 // second of the newest slot
}

type budgetSlot struct{ calls, retries int }

const (
	budgetWindow  = 10 // seconds
	budgetReserve = 3  // retries a second that are always allowed, measured over the window
)

func newBudget(now func() time.Time) *budget { return &budget{now: now} }

// call counts one exchange.
func (b *budget) call() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	b.calls++
	b.slots[b.last%budgetWindow].calls++
}

// retry asks for one retry and counts it if it is allowed.
func (b *budget) retry(share float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	if float64(b.retries) >= max(budgetReserve*budgetWindow, share*float64(b.calls)) {
		return false
	}
	b.retries++
	b.slots[b.last%budgetWindow].retries++
	return true
}

// advance forgets the seconds that left the window.
func (b *budget) advance() {
	second := b.now().Unix()
	for n := 0; b.last < second && n < budgetWindow; n++ {
		b.last++
		if second-b.last >= budgetWindow {
			b.last = second - budgetWindow + 1
		}
		slot := &b.slots[b.last%budgetWindow]
		b.calls -= slot.calls
		b.retries -= slot.retries
		*slot = budgetSlot{}
	}
	b.last = max(b.last, second)
}
