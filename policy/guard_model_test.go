package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// guardModel is what the contract says a breaker is, written as plainly as possible.
type guardModel struct {
	failures, successes, reset int // settings; reset in seconds

	state      BreakerState
	held       bool
	row        int // failures in a row while closed
	passed     int // probes that succeeded
	out        int // probes handed out and not neutral
	opened     int // second it opened
	generation int
}

type modelPermit struct{ generation int }

func (m *guardModel) become(s BreakerState, now int) {
	m.state, m.row, m.passed, m.out, m.opened = s, 0, 0, 0, now
	m.generation++
}

func (m *guardModel) acquire(now int) (modelPermit, bool) {
	if m.held {
		return modelPermit{}, false
	}
	if m.state == BreakerOpened && now-m.opened >= m.reset {
		m.become(BreakerHalfOpen, now)
	}
	if m.state == BreakerOpened || m.state == BreakerHalfOpen && m.out >= m.successes {
		return modelPermit{}, false
	}
	if m.state == BreakerHalfOpen {
		m.out++
	}
	return modelPermit{m.generation}, true
}

func (m *guardModel) done(p modelPermit, effect breakerEffect, now int) {
	if p.generation != m.generation || m.held {
		return
	}
	switch {
	case m.state == BreakerHalfOpen && effect == success:
		if m.passed++; m.passed == m.successes {
			m.become(BreakerClosed, now)
		}
	case m.state == BreakerHalfOpen && effect == failure:
		m.become(BreakerOpened, now)
	case m.state == BreakerHalfOpen:
		m.out--
	case effect == success:
		m.row = 0
	case effect == failure:
		if m.row++; m.row == m.failures {
			m.become(BreakerOpened, now)
		}
	}
}

func (m *guardModel) shown(now int) BreakerState {
	if !m.held && m.state == BreakerOpened && now-m.opened >= m.reset {
		return BreakerHalfOpen
	}
	return m.state
}

func (m *guardModel) byHand(action string, now int) {
	switch action {
	case "open":
		m.held = true
		if m.state != BreakerOpened {
			m.become(BreakerOpened, now)
		}
	case "close":
		m.held = false
		if m.state != BreakerClosed {
			m.become(BreakerClosed, now)
		}
	case "reset":
		m.held = false
		m.become(BreakerClosed, now)
	}
}

func TestTheBreakerIsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &guardModel{failures: rapid.IntRange(1, 4).Draw(rt, "failures"), successes: rapid.IntRange(1, 4).Draw(rt, "successes"), reset: 60}
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"acquire", "acquire", "acquire", "success", "success", "failure", "failure", "failure",
			"neutral", "second", "minute", "open", "close", "reset"}), 60, 200).Draw(rt, "steps")
		picks := rapid.SliceOfN(rapid.IntRange(0, 1<<20), len(steps), len(steps)).Draw(rt, "picks")
		fault := ""
		synctest.Test(t, func(*testing.T) { fault = m.compare(steps, picks) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// compare runs the steps on model and breaker and says where they part.
func (m *guardModel) compare(steps []string, picks []int) string {
	g, start := testGuard(m.failures, m.successes), time.Now()
	type pair struct {
		given permit
		model modelPermit
	}
	var out []pair
	effects := map[string]breakerEffect{"success": success, "failure": failure, "neutral": neutral}
	for i, step := range steps {
		now := int(time.Since(start) / time.Second)
		effect, settles := effects[step]
		switch {
		case settles && len(out) > 0:
			n := picks[i] % len(out)
			out[n].given.done(effect)
			m.done(out[n].model, effect, now)
			out = append(out[:n], out[n+1:]...)
		case step == "acquire":
			got, ok := g.acquire()
			model, want := m.acquire(now)
			if ok != want {
				return step + ": the breaker and its model disagree on a permit"
			}
			if ok {
				out = append(out, pair{got, model})
			}
		case step == "second":
			wait(time.Second)
		case step == "minute":
			wait(time.Minute)
		case step == "open":
			g.Open()
		case step == "close":
			g.Close()
		case step == "reset":
			g.Reset()
		}
		m.byHand(step, now)
		if got, want := g.State(), m.shown(int(time.Since(start)/time.Second)); got != want {
			return step + ": the breaker is " + got.String() + ", its model " + want.String()
		}
	}
	return ""
}
