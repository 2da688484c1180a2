package policy

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// BreakerShare tells the other sidecars of the application of outages that calls of this one met, and acts on theirs
// (breaker.share: redis). A nil share does nothing.
//
//   - A breaker that calls open is told of once. The others open theirs, for the time that is left, and probe a little
//     later than the first: what they are spared is to find the outage out, each with as many failures.
//   - A breaker that probes close again is told of too. Who opened because of the first closes; who has met failures
//     of its own probes at once.
//   - That an open breaker stays open after failed probes is not told, or one pod with a broken network would keep all
//     others from finding out that the external system is well.
//   - What operators do by hand stays with their sidecar.
type BreakerShare struct {
	outages *shared.Outages
	guards  atomic.Pointer[map[string]*Guard]
	told    chan toldChange
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

type toldChange struct {
	adapter string
	open    bool
}

const (
	lookEvery  = 250 * time.Millisecond // how late another sidecar learns of an outage, at most, beside the way
	closedNews = time.Minute            // how long the end of an outage is news
	toldAhead  = 64                     // changes that wait to be told; more are dropped: they are a help, not a promise
)

// NewBreakerShare starts to watch no breaker.
func NewBreakerShare(c *shared.Client) *BreakerShare {
	ctx, stop := context.WithCancel(context.Background())
	s := &BreakerShare{outages: shared.NewOutages(c), told: make(chan toldChange, toldAhead), stop: stop}
	s.guards.Store(&map[string]*Guard{})
	s.stopped.Go(func() { s.run(ctx) })
	return s
}

// Watch replaces the breakers that are shared, by adapter name.
func (s *BreakerShare) Watch(guards map[string]*Guard) {
	if s != nil {
		s.guards.Store(&guards)
	}
}

// Tell passes a change of an adapter's breaker on, if it is one to share. It does not wait.
func (s *BreakerShare) Tell(adapter string, c BreakerChange) {
	if s == nil || c.Cause != ByCalls || (*s.guards.Load())[adapter] == nil {
		return
	}
	opened, closed := c.From == BreakerClosed && c.To == BreakerOpened, c.To == BreakerClosed
	if !opened && !closed {
		return
	}
	select {
	case s.told <- toldChange{adapter, opened}:
	default:
	}
}

// Close ends the share.
func (s *BreakerShare) Close() {
	if s != nil {
		s.stop()
		s.stopped.Wait()
	}
}

func (s *BreakerShare) run(ctx context.Context) {
	seen := map[string]int64{} // the number of the last news of each adapter
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-s.told:
			s.tell(ctx, c)
		case <-time.After(lookEvery/2 + rand.N(lookEvery/2)):
			s.look(ctx, seen)
		}
	}
}

// tell writes one change. One that Redis does not take is not tried again: by then it may be wrong.
func (s *BreakerShare) tell(ctx context.Context, c toldChange) {
	guard := (*s.guards.Load())[c.adapter]
	if guard == nil {
		return
	}
	during := closedNews
	if c.open {
		during = guard.settings.ResetTimeout.D()
	}
	_, _ = s.outages.Tell(ctx, c.adapter, c.open, during)
}

func (s *BreakerShare) look(ctx context.Context, seen map[string]int64) {
	guards := *s.guards.Load()
	if len(guards) == 0 {
		return
	}
	adapters := make([]string, 0, len(guards))
	for name := range guards {
		adapters = append(adapters, name)
	}
	slices.Sort(adapters)
	news, err := s.outages.Read(ctx, adapters)
	if err != nil {
		return
	}
	for i, name := range adapters {
		if n := news[i]; n.Number != seen[name] {
			seen[name] = n.Number
			guards[name].hear(n)
		}
	}
}

// hear acts on what another sidecar told. What this one told itself changes nothing: its breaker is there already.
func (g *Guard) hear(n shared.News) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case n.Number == 0 || g.held:
	case n.Open && n.Left > 0 && g.inner.IsClosed():
		g.because(BySidecar, g.inner.Open)
		g.hinted, g.hintEnds = true, time.Now().Add(n.Left+lookEvery+rand.N(n.Left/10+1))
	case !n.Open && g.hinted:
		g.because(BySidecar, g.inner.Close)
	case !n.Open && g.inner.IsOpen():
		g.because(BySidecar, g.inner.HalfOpen)
	}
}

// endHint lets a breaker probe that another sidecar's word opened, when its time has come. The guard is locked.
func (g *Guard) endHint() {
	if g.hinted && !time.Now().Before(g.hintEnds) {
		g.because(BySidecar, g.inner.HalfOpen)
	}
}
