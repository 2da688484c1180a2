package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/simulator"
	"github.com/fsm-integrations/sidecar/proxy"
)

// letterReplayed: what finally failed is kept, and goes out later without happening twice.
func (s *scene) letterReplayed() {
	sales := s.world.System(simulator.Sales)
	defer sales.Recover()
	s.aside("The provider takes an order, loses the connection, and is down for every further try.")
	sales.Next(simulator.AcceptThenDrop())
	sales.Default(simulator.Status(503))
	got := s.application.write(s.ctx, simulator.Sales, "SO-1005")
	failed := s.seen(sales)
	s.app("order SO-1005", fmt.Sprintf("%d, X-Dead-Letter-ID: %s", got.status, tail(got.letter())))
	s.attempts(failed)
	letter, err := s.admin.Letter(s.ctx, got.letter())
	if err != nil {
		s.check(false, "the letter is on disk when the application is answered", "%v", err)
		s.happened(sales, 1, "one order taken")
		return
	}
	s.examine(letter, got, failed)
	sales.Recover()
	s.aside("The provider is back. The operator sends the letter again.")
	result, err := s.admin.Replay(s.ctx, letter.ID, proxy.ReplayOptions{Who: "operator"})
	s.operator("sidecar dlq replay "+tail(letter.ID), strings.TrimSpace(fmt.Sprintf("%s, %d %s", result.Result, result.Status, result.Reason)))
	s.check(err == nil && result.Result == "replayed", "the replay was accepted by the provider", "%s %s, %v", result.Result, result.Reason, err)
	s.replayedOnce(sales, letter)
}

// examine shows the letter as `dlq list` and `dlq show` do.
func (s *scene) examine(l *dlq.Letter, got answer, failed []simulator.Record) {
	page, err := s.admin.Letters(s.ctx, admin.Query{Filter: dlq.Filter{Adapter: simulator.Sales, States: []dlq.State{dlq.Dead}}})
	s.operator("sidecar dlq list", fmt.Sprintf("%s: %s after %s", plural(len(page.Letters), "letter"), l.Error.Type, plural(l.Metadata.Attempts, "attempt")))
	s.operator("sidecar dlq show "+tail(l.ID), "key "+short(l.Metadata.IdempotencyKey)+", the body, no credentials")
	s.check(got.status == 503 && err == nil && len(page.Letters) == 1 && page.Letters[0].ID == got.letter(),
		"the letter is on disk when the application is answered", "%d, %d letters, %v", got.status, len(page.Letters), err)
	s.check(len(failed) == 4 && l.Metadata.Attempts == 4 && l.Metadata.IdempotencyKey == failed[0].Key, "it knows the key and every attempt", "%d attempts of %d", l.Metadata.Attempts, len(failed))
	text, err := json.Marshal(l)
	leaked := err != nil
	for _, secret := range demoSecrets() {
		leaked = leaked || strings.Contains(string(text), secret.value)
	}
	for _, r := range failed {
		leaked = leaked || r.Signature != "" && strings.Contains(string(text), r.Signature)
	}
	s.check(!leaked, "no credential and no signature is in it", "there is one, or %v", err)
}

// replayedOnce looks at what the replay did.
func (s *scene) replayedOnce(sales *simulator.System, l *dlq.Letter) {
	all := s.seen(sales)
	s.provider(fmt.Sprintf("replay     key %s  signature %s", short(last(all).Key), bare(last(all).Signature)), fmt.Sprint(last(all).Status)+memory(last(all)))
	s.check(distinct(all, key) == 1 && distinct(all, signature) == len(all) && count(all, badlySigned) == 0,
		"it carried the original key and a fresh, valid signature", "%d keys, %d signatures in %d requests", distinct(all, key), distinct(all, signature), len(all))
	s.happened(sales, 1, "exactly one order taken, although it was sent five times")
	after, err := s.admin.Letter(s.ctx, l.ID)
	if err != nil || len(after.Audit) == 0 {
		s.check(false, "the letter is closed, and says who did it", "%v", err)
		return
	}
	a := after.Audit[len(after.Audit)-1]
	s.operator("audit of the letter", fmt.Sprintf("%s  %s  %s  %s", stamp(a.Time), a.Who, a.Action, a.Outcome))
	s.check(!after.State.Open() && a.Who == "operator" && a.Action == "replay", "the letter is closed, and says who did it and when", "%s, %+v", after.State, a)
}

func memory(r simulator.Record) string {
	if r.Replayed {
		return ", it knows the key"
	}
	return ""
}

// The calls of the reload, and the limit of config.example.yaml for e-signature that they run into.
const (
	envelopes = 25
	inFlight  = 20
)

// limitReloaded: the configuration changes under calls in flight.
func (s *scene) limitReloaded() {
	esign := s.world.System(simulator.ESignature)
	defer esign.Recover()
	s.aside("%d envelopes go out, each takes the provider a second. The limit is %d at once.", envelopes, inFlight)
	esign.Default(simulator.Slow(time.Second))
	send := func(i int) answer {
		return s.application.write(s.ctx, simulator.ESignature, fmt.Sprintf("contract-%d", i), "X-Tenant-ID", demoTenant)
	}
	answers := make(chan []answer, 1)
	go func() { answers <- atOnce(envelopes, send) }()
	_ = esign.WaitRequests(s.ctx, s.before[esign.Name].Requests+inFlight) // the checks say it when they did not come
	running := s.adapter(simulator.ESignature).InFlight
	err := s.raiseLimit()
	s.between("limit 20 → 40, file reloaded", fmt.Sprintf("with %d calls in flight", running))
	first := <-answers
	esign.Recover()
	sent, limited := count(first, status(201)), count(first, func(a answer) bool { return a.problem() == "rate-limited" })
	s.app(fmt.Sprintf("%d envelopes at once", envelopes), fmt.Sprintf("%d × 201, %d × 429 rate-limited", sent, limited))
	again := atOnce(limited, func(i int) answer { return send(envelopes + i) })
	s.app(fmt.Sprintf("those %d again", limited), fmt.Sprintf("%d × 201", count(again, status(201))))
	s.provider(plural(len(s.seen(esign)), "request"), "")
	s.check(err == nil && running > 0, "the new limit was loaded while calls were in flight", "%d in flight, %v", running, err)
	s.check(sent+limited == envelopes && sent >= inFlight, "no call in flight was dropped", "%d of %d were answered", sent+limited, envelopes)
	s.check(limited > 0 && count(again, status(201)) == limited, "what the old limit refused, the new one lets through", "%d of %d", count(again, status(201)), limited)
	s.happened(esign, envelopes, fmt.Sprintf("%d envelopes sent", envelopes))
}

// raiseLimit changes the file and has it loaded, as an operator would.
func (s *scene) raiseLimit() error {
	text, err := os.ReadFile(s.config)
	if err != nil {
		return err
	}
	changed, _, err := apply(string(text), []edit{{block: "adapters." + simulator.ESignature, key: "capacity", value: "40"}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.config, []byte(changed), 0o600); err != nil {
		return err
	}
	return s.admin.Reload(s.ctx, "operator")
}
