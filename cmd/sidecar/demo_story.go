package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fsm-integrations/sidecar/internal/simulator"
	"github.com/fsm-integrations/sidecar/proxy"
)

// story tells the day chapter by chapter and remembers what it must add up to.
type story struct {
	*teller
	*playground

	done     []told
	effects  map[string]int // what should have been done at each system by now, by its name
	straight int            // requests that went past the sidecar, for comparison
	letters  []string       // letters that stay open on purpose
}

// chapter is a part of the day with a point of its own.
type chapter struct {
	title string
	tell  func(*scene)
}

// told is how a chapter went.
type told struct {
	title          string
	checks, failed int
	took           time.Duration
}

func chapters() []chapter {
	return []chapter{
		{"An order is taken", (*scene).orderTaken},
		{"A flaky provider, healed by retries", (*scene).flakyHealed},
		{"A doubled order, stopped", (*scene).doubledStopped},
		{"The trap: an answer that never came", (*scene).answerLost},
		{"A burst, smoothed to what the provider can take", (*scene).burstSmoothed},
		{"An outage opens the breaker, recovery closes it", (*scene).outage},
		{"A letter: kept, read, replayed", (*scene).letterReplayed},
		{"A new limit, without a dropped call", (*scene).limitReloaded},
	}
}

// chapterTime bounds a chapter: a wait that never ends is a failure, not a hang.
const chapterTime = 20 * time.Second

// tell plays all chapters, or those until ctx ends, and reports whether everything promised has happened.
func (s *story) tell(ctx context.Context) bool {
	s.effects = map[string]int{}
	for i, c := range chapters() {
		if ctx.Err() != nil {
			return false
		}
		s.title(i+1, c.title)
		s.play(ctx, c)
	}
	return ctx.Err() == nil && s.sum(ctx)
}

func (s *story) play(ctx context.Context, c chapter) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, chapterTime)
	defer cancel()
	x := &scene{story: s, ctx: ctx, before: map[string]simulator.Counts{}}
	for _, system := range s.world.Systems() {
		x.before[system.Name] = system.Counts()
	}
	c.tell(x)
	s.done = append(s.done, told{c.title, x.checks, x.failed, time.Since(began)})
}

// scene is a chapter under way.
type scene struct {
	*story
	ctx            context.Context
	before         map[string]simulator.Counts
	checks, failed int
}

// check says whether what was promised happened; happened is formatted for when it did not.
func (s *scene) check(ok bool, promised, happened string, args ...any) {
	s.checks++
	if !ok {
		s.failed++
	}
	s.verdict(ok, promised, fmt.Sprintf(happened, args...))
}

// seen are the requests a system got in this chapter.
func (s *scene) seen(system *simulator.System) []simulator.Record {
	return system.Records()[s.before[system.Name].Requests:]
}

// happened checks how much a system really did in this chapter: n orders taken, messages sent.
func (s *scene) happened(system *simulator.System, n int, promised string) {
	s.effects[system.Name] += n
	got := system.SideEffects() - s.before[system.Name].SideEffects
	s.check(got == n, promised, "it was %d", got)
}

// until waits for a condition of the running sidecar, and reports whether it came true within the chapter's time.
func (s *scene) until(is func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return false
		}
	}
	return true
}

// adapter asks the sidecar, by its admin API, how an adapter stands.
func (s *scene) adapter(name string) proxy.AdapterStatus {
	status, err := s.admin.Status(s.ctx)
	if err != nil {
		return proxy.AdapterStatus{Message: err.Error()}
	}
	for _, a := range status.Adapters {
		if a.Name == name {
			return a
		}
	}
	return proxy.AdapterStatus{}
}

func (s *scene) breaker(name string) string { return s.adapter(name).Breaker.State }
