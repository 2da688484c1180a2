//go:build e2e

package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// stage is a sidecar in front of the simulated external systems.
type stage struct {
	*e2e.Sidecar
	t     *testing.T
	world *simulator.World
	calls int
}

// policies are those of each system's adapter; delays are short, so that an outage takes no minutes.
func policies() map[string][]string {
	const quick = "retry: { max_retries: 2, initial_delay: 60ms, max_delay: 150ms, jitter_factor: 0.1 }"
	return map[string][]string{
		simulator.Sales: {"version: 2.1.0", "auth: { bearer: env:SALES }", "idempotency: { header: X-Idempotency-Key, honoured: true }", quick,
			"breaker: { failure_threshold: 5, success_threshold: 2, reset_timeout: 40s }", "rate_limit: { capacity: 100, refill_rate: 10 }",
			"operations:\n  - match: { method: POST, path: /api/v2/orders/intake }\n    timeout: { attempt: 10s }\n    idempotency: { key_from: [\"body:/orderId\"] }"},
		simulator.ERP:        {"version: 4.0.2", "auth: { basic: { username: fsm-integration, password: env:ERP } }", "idempotency: { header: Idempotency-Key, honoured: true }", quick, "rate_limit: { capacity: 50, refill_rate: 5 }"},
		simulator.ESignature: {"version: 1.4.0", "auth: { bearer: env:SIGNATURE }", "idempotency: { header: X-Idempotency-Key, honoured: true }", quick, "rate_limit: { capacity: 20, refill_rate: 2 }"},
		simulator.SMS:        {"version: 1.0.3", "auth: { header: { name: X-API-Key, value: env:SMS } }", quick, "rate_limit: { capacity: 50, refill_rate: 10 }"},
		simulator.Email:      {"version: 3.2.0", "auth: { bearer: env:EMAIL }", "idempotency: { header: X-Idempotency-Key, honoured: true }", quick, "rate_limit: { capacity: 100, refill_rate: 20 }"},
	}
}

// raise starts it all. edit changes the set-up.
func raise(t *testing.T, edit ...func(*e2e.Setup)) *stage {
	t.Helper()
	world, err := simulator.Start(simulator.Config{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = world.Close() })
	var adapters strings.Builder
	for _, s := range world.Systems() {
		adapters.WriteString(e2e.Adapter(s.Name, s.URL, policies()[s.Name]...))
	}
	setup := e2e.Setup{Adapters: adapters.String(), Env: []string{"SALES=demo-sales-token", "ERP=demo-erp-password", "SIGNATURE=demo-signature-token", "SMS=demo-sms-key", "EMAIL=demo-email-token"}}
	for _, f := range edit {
		f(&setup)
	}
	return &stage{Sidecar: e2e.Start(t, setup), t: t, world: world}
}

// order sends one write of a system's own through the sidecar and returns the answer.
func (s *stage) order(system string, fields ...string) e2e.Answer {
	s.t.Helper()
	s.calls++
	method, path, body := simulator.Sample(system, fmt.Sprintf("SO-%04d", 1000+s.calls))
	return s.Do(s.t, method, "/"+system+path, body, append([]string{"Content-Type: application/json", "X-Tenant-ID: acme"}, fields...)...)
}

// letters makes n letters of a system, which is well again afterwards.
func (s *stage) letters(system string, n int) []string {
	s.t.Helper()
	up := s.world.System(system)
	up.Default(simulator.Status(503))
	defer up.Recover()
	var ids []string
	for range n {
		id := s.order(system).LetterID()
		if id == "" {
			s.t.Fatalf("a failed write of %s left no letter", system)
		}
		ids = append(ids, id)
	}
	return ids
}

// day is traffic as on any day: most of it well, some of it slow, some of it tried again.
func (s *stage) day() {
	s.t.Helper()
	for i := range 24 {
		for _, system := range simulator.Names() {
			up := s.world.System(system)
			switch {
			case i%9 == 4:
				up.Next(simulator.Status(503))
			case i%5 == 2:
				up.Next(simulator.Slow(time.Duration(20+7*i) * time.Millisecond))
			}
			s.order(system)
		}
	}
}
