package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/simulator"
	"github.com/fsm-integrations/sidecar/proxy"
)

// answerLost: a call that may have happened is not sent again to a provider that does not drop duplicates.
func (s *scene) answerLost() {
	sms := s.world.System(simulator.SMS)
	s.aside("The SMS gateway sends the text, then the connection breaks before it answers. It ignores keys:\nsent again, the customer would get the text twice.")
	sms.Next(simulator.AcceptThenDrop())
	key := []string{"X-Idempotency-Key", "visit-4711"}
	got := s.application.write(s.ctx, simulator.SMS, "visit-4711", key...)
	again := s.application.write(s.ctx, simulator.SMS, "visit-4711", key...)
	s.app("text for visit 4711", fmt.Sprintf("%d %s, letter %s", got.status, dash(got.problem()), tail(got.letter())))
	s.app("tries again with the same key", fmt.Sprintf("%d %s, letter %s", again.status, dash(again.problem()), tail(again.letter())))
	s.provider(fmt.Sprintf("%s for 2 calls, %s sent", plural(len(s.seen(sms)), "request"), plural(sms.SideEffectsOf("visit-4711"), "text")), "")
	kept, err := s.admin.Letter(s.ctx, got.letter())
	s.check(got.status == 502 && got.letter() != "" && strings.Contains(got.body, `"retryable":false`),
		"the application is told: it may have happened, do not repeat it, and a letter's id", "%d %s", got.status, got.body)
	s.check(err == nil && kept.Error.Type == "outcome_unknown", "the letter says that the outcome is unknown", "%v, %q", err, kept.Error.Type)
	s.check(again.problem() == "outcome-unknown" && again.letter() == got.letter(), "a second try is stopped too, and points to the same letter", "%d %s", again.status, again.body)
	result, err := s.admin.Replay(s.ctx, got.letter(), proxy.ReplayOptions{Who: "demo"})
	s.check(result.Result == "refused", "a replay is refused until a person has looked and says --force", "%s, %v", result.Result, err)
	s.happened(sms, 1, "one text sent")
	s.letters = append(s.letters, got.letter())
}

// The burst, and the provider's own limit, which is just above the sidecar's for it (50 at once, then 5 a second).
const (
	burst         = 60
	providerBurst = 54
	providerRate  = 6
)

// burstSmoothed: calls wait for their turn instead of being lost.
func (s *scene) burstSmoothed() {
	erp := s.world.System(simulator.ERP)
	defer erp.Recover()
	s.aside("The ERP takes %d calls at once and %d a second. The night's %d work orders arrive together.", providerBurst, providerRate, burst)
	erp.Default(simulator.Throttle(providerRate, providerBurst))
	direct := atOnce(burst, func(i int) answer {
		return s.application.straight(s.ctx, erp, fmt.Sprintf("direct-%d", i), erp.Credential().Field, erp.Credential().Value)
	})
	s.straight += burst
	lost, before := count(direct, status(429)), len(s.seen(erp))
	s.app("straight to the provider", fmt.Sprintf("%d taken, %d refused with 429", count(direct, status(201)), lost))
	erp.Default(simulator.Throttle(providerRate, providerBurst)) // as after a quiet time: its bucket is full again
	began := time.Now()
	all := atOnce(burst, func(i int) answer { return s.application.write(s.ctx, simulator.ERP, fmt.Sprintf("WO-%d", i)) })
	taken, took := count(all, status(201)), time.Since(began)
	s.app("through the sidecar", fmt.Sprintf("%d taken, in %s", taken, seconds(took)))
	seen := s.seen(erp)[before:]
	refused := count(seen, func(r simulator.Record) bool { return r.Status == 429 })
	first, rest := spread(seen)
	s.provider(fmt.Sprintf("%d calls in the first 0.1 s, then %s a second; %d refused", first, rest, refused), "")
	s.check(lost > 0, "without the sidecar the provider refuses some", "it refused none")
	s.check(taken == burst, "with it no call is lost", "%d of %d were taken", taken, burst)
	s.check(refused == 0 && len(seen) == burst, "the provider was never pushed beyond its limit", "it saw %d calls and refused %d", len(seen), refused)
	s.happened(erp, burst+burst-lost, fmt.Sprintf("%d work orders created: %d straight, %d through the sidecar", burst+burst-lost, burst-lost, burst))
	s.retryAfter()
}

// spread says how many requests came in the first tenth of a second, and how many a second after that.
func spread(seen []simulator.Record) (first int, rest string) {
	if len(seen) == 0 {
		return 0, "none"
	}
	start := seen[0].Time
	first = count(seen, func(r simulator.Record) bool { return r.Time.Sub(start) < 100*time.Millisecond })
	span := last(seen).Time.Sub(start).Seconds()
	if first == len(seen) || span == 0 {
		return first, "none"
	}
	return first, fmt.Sprintf("%.0f", float64(len(seen)-first)/span)
}

// retryAfter: a provider that says when is obeyed.
func (s *scene) retryAfter() {
	email := s.world.System(simulator.Email)
	email.Next(simulator.RetryAfter(429, 1))
	got := s.application.write(s.ctx, simulator.Email, "mail-1")
	seen := s.seen(email)
	s.app("a mail to a busy mail gateway", fmt.Sprintf("%d after %s", got.status, seconds(got.took)))
	if len(seen) == 2 {
		s.provider("first try 429, Retry-After: 1", fmt.Sprintf("%d on the second, %s later", seen[1].Status, seconds(seen[1].Time.Sub(seen[0].Time))))
	}
	s.check(got.status == 202 && len(seen) == 2 && seen[1].Time.Sub(seen[0].Time) >= time.Second,
		"Retry-After is obeyed to the second, and the mail goes out", "%d after %s, %d requests", got.status, got.took, len(seen))
	s.happened(email, 1, "one mail sent")
}

// outage: a provider that is down is left alone, and found again.
func (s *scene) outage() {
	email := s.world.System(simulator.Email)
	defer email.Recover()
	s.aside("The mail gateway goes down while the application keeps asking what became of a mail.")
	mail := "/v3/mail/" + s.application.write(s.ctx, simulator.Email, "mail-2").member("messageId")
	ask := func() answer { return s.application.read(s.ctx, simulator.Email, mail) }
	email.Default(simulator.Status(503))
	var failed []answer
	for s.breaker(simulator.Email) == "closed" && len(failed) < 5 {
		failed = append(failed, ask())
	}
	hit := len(s.seen(email))
	s.app(plural(len(failed), "call"), fmt.Sprintf("%d × 503, each after some tries", count(failed, status(503))))
	s.between("breaker "+s.breaker(simulator.Email), "")
	refused := make([]answer, 30)
	for i := range refused {
		refused[i] = ask()
	}
	open := count(refused, func(a answer) bool { return a.problem() == "circuit-open" && a.header.Get("Retry-After") != "" })
	slowest := slices.MaxFunc(refused, func(a, b answer) int { return int(a.took - b.took) }).took
	s.app("30 more calls", fmt.Sprintf("%d × 503 circuit-open, Retry-After: %s", open, dash(refused[0].header.Get("Retry-After"))))
	s.provider(fmt.Sprintf("%d requests, then %d", hit-1, len(s.seen(email))-hit), "")
	s.check(open == len(refused), "the open breaker answers 30 calls by itself, and says when to come back", "%d of them; the first got %d %s", open, refused[0].status, refused[0].body)
	s.check(slowest < time.Second, fmt.Sprintf("at once: the slowest took %s", slowest.Round(100*time.Microsecond)), "the slowest took %s", slowest)
	s.check(len(s.seen(email)) == hit, "the provider is left alone meanwhile", "it got %d more requests", len(s.seen(email))-hit)
	s.recovery(email, ask)
}

// recovery: half-open, a few probes, closed.
func (s *scene) recovery(email *simulator.System, ask func() answer) {
	email.Recover()
	s.aside("The gateway is repaired. When the breaker's time is over, the next calls are probes.")
	s.until(func() bool { return s.breaker(simulator.Email) != "open" })
	states, before := []string{s.breaker(simulator.Email)}, len(s.seen(email))
	var probes []answer
	for len(probes) < 3 {
		probes = append(probes, ask())
		states = append(states, s.breaker(simulator.Email))
	}
	good := count(probes, status(200))
	s.app("3 calls", fmt.Sprintf("%d × 200", good))
	s.between("breaker open → half-open → "+states[3], "")
	s.check(slices.Equal(states, []string{"half-open", "half-open", "half-open", "closed"}) && good == 3 && len(s.seen(email)) == before+3,
		"three good probes closed it again", "%d of 3 were answered 200; the breaker went %v", good, states)
	s.happened(email, 1, "one mail sent, before the outage")
}

// tail is the end of a letter's id, by which people tell letters of one hour apart.
func tail(id string) string {
	if len(id) > 8 {
		return "…" + id[len(id)-8:]
	}
	return dash(id)
}
