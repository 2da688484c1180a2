package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// orderTaken: what the sidecar adds to a call.
func (s *scene) orderTaken() {
	sales := s.world.System(simulator.Sales)
	s.aside("The application posts an order: a JSON body, nothing else.")
	refused := s.application.straight(s.ctx, sales, "SO-1001")
	s.straight++
	s.app("straight to the provider", fmt.Sprintf("%d %s", refused.status, http.StatusText(refused.status)))
	got := s.application.write(s.ctx, simulator.Sales, "SO-1001")
	s.app("the same through the sidecar", fmt.Sprintf("%d, reference %s", got.status, dash(got.member("reference"))))
	r := last(s.seen(sales))
	s.provider("credentials       accepted", "")
	s.provider("signature         "+bare(r.Signature)+"  "+valid(r), "")
	s.provider("idempotency key   "+short(r.Key)+"  made of the order's number", "")
	s.provider("correlation id    "+short(r.Correlation)+"  the application got it too", "")
	s.check(refused.status == 401, "without the sidecar the provider refuses the call", "it answered %d", refused.status)
	s.check(got.status == 201, "with it the credentials are right and the order is taken", "the answer was %d %s", got.status, got.body)
	s.check(r.Signature != "" && r.SignatureFault == "", "the provider verified the HMAC signature", "%s", r.SignatureFault)
	s.check(r.Key != "" && r.Correlation != "" && r.Correlation == got.header.Get("X-Correlation-ID"),
		"a key was added, and a correlation id that all three know", "key %q, correlation id %q", r.Key, r.Correlation)
	s.happened(sales, 1, "one order taken")
}

// flakyHealed: retries, with the same key and fresh signatures.
func (s *scene) flakyHealed() {
	sales := s.world.System(simulator.Sales)
	s.aside("The provider fails twice, then recovers.")
	sales.Next(simulator.Status(503), simulator.Status(503))
	got := s.application.write(s.ctx, simulator.Sales, "SO-1002")
	s.app("order SO-1002", fmt.Sprintf("%d after %s", got.status, seconds(got.took)))
	seen := s.seen(sales)
	s.attempts(seen)
	s.check(got.status == 201, "the application saw one call and one good answer", "the answer was %d %s", got.status, got.body)
	s.check(len(seen) == 3, "the provider saw three attempts", "it saw %d", len(seen))
	s.check(distinct(seen, key) == 1 && seen[0].Key != "", "each attempt carried the same key", "there were %d keys", distinct(seen, key))
	s.check(distinct(seen, signature) == len(seen) && count(seen, badlySigned) == 0, "each attempt carried a signature of its own, all valid",
		"%d different ones, %d of them bad", distinct(seen, signature), count(seen, badlySigned))
	s.happened(sales, 1, "one order taken")
}

// doubledStopped: one key runs once.
func (s *scene) doubledStopped() {
	sales := s.world.System(simulator.Sales)
	s.aside("A user clicks twice. Then an impatient client sends one order 20 times at once, while the\nprovider takes 0.3 s over it.")
	first := s.application.write(s.ctx, simulator.Sales, "SO-1003")
	again := s.application.write(s.ctx, simulator.Sales, "SO-1003")
	s.app("order SO-1003", fmt.Sprintf("%d %s", first.status, dash(first.member("reference"))))
	s.app("the same order again", fmt.Sprintf("%d %s, Idempotency-Replayed: %s", again.status, dash(again.member("reference")), dash(again.header.Get("Idempotency-Replayed"))))
	sales.Next(simulator.Slow(300 * time.Millisecond))
	all := atOnce(20, func(int) answer { return s.application.write(s.ctx, simulator.Sales, "SO-1004") })
	equal, replayed := count(all, all[0].sameAs), count(all, answer.replayed)
	s.app("order SO-1004, 20 times at once", fmt.Sprintf("%d × %d %s", equal, all[0].status, dash(all[0].member("reference"))))
	n := len(s.seen(sales))
	s.provider(fmt.Sprintf("%d requests for 22 calls", n), "")
	s.check(first.status == 201 && !first.replayed() && again.replayed() && again.sameAs(first),
		"the second click got the first one's answer", "%d %q, then %d %q", first.status, first.body, again.status, again.body)
	s.check(all[0].status == 201 && equal == 20 && replayed == 19, "20 calls at once: one was sent, 19 replayed, all answers equal",
		"%d were equal, %d replayed", equal, replayed)
	s.check(n == 2, "the provider saw each order once", "it saw %d requests", n)
	s.happened(sales, 2, "two orders taken")
}

// attempts prints requests of the provider, one a line.
func (s *scene) attempts(list []simulator.Record) {
	for i, r := range list {
		came := fmt.Sprint(r.Status)
		switch {
		case r.Status == 0 && r.SideEffect:
			came = "taken, but its answer is lost"
		case r.Replayed:
			came += ", from memory: it knows the key"
		}
		s.provider(fmt.Sprintf("attempt %d  key %s  signature %s", i+1, short(r.Key), bare(r.Signature)), came)
	}
}

// The facts of a request that the chapters compare.
func key(r simulator.Record) string       { return r.Key }
func signature(r simulator.Record) string { return r.Signature }
func badlySigned(r simulator.Record) bool { return r.SignatureFault != "" || r.Signature == "" }

func distinct(list []simulator.Record, fact func(simulator.Record) string) int {
	values := map[string]bool{}
	for _, r := range list {
		values[fact(r)] = true
	}
	return len(values)
}

func last(list []simulator.Record) simulator.Record {
	if len(list) == 0 {
		return simulator.Record{SignatureFault: "no request arrived"}
	}
	return list[len(list)-1]
}

func valid(r simulator.Record) string {
	if r.SignatureFault != "" {
		return "refused: " + r.SignatureFault
	}
	return "verified"
}

// bare is a signature without the name of its algorithm.
func bare(signature string) string { return short(strings.TrimPrefix(signature, "sha256=")) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
