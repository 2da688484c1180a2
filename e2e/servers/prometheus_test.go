//go:build e2e

package servers

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	t.Parallel()
	up := e2e.NewUpstream(t, e2e.OK("ok"), e2e.Status(500), e2e.Status(429), e2e.OK("ok"))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL, "rate_limit: { capacity: 100, refill_rate: 10 }") +
		e2e.Adapter("gone", "http://"+e2e.FreeAddr(t))})
	for _, target := range []string{"/sales/a", "/sales/b", "/gone/a", "/unknown/a"} {
		s.Post(t, target, "{}")
		s.Get(t, target)
	}
	a := s.Get(t, "http://"+s.Probes+"/metrics")
	if !strings.Contains(a.Body, "integration_requests_total{") {
		t.Fatalf("there are no metrics to check: %.300q", a.Body)
	}
	promtoolAccepts(t, a.Body)
}

// promtoolAccepts fails the test when promtool finds fault with what was scraped.
func promtoolAccepts(t *testing.T, metrics string) {
	t.Helper()
	cmd := exec.Command(program(t, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(metrics)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
