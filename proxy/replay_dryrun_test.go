package proxy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestADryRunKnowsAnOpenBreaker(t *testing.T) {
	u := upstream.Always(t, upstream.Status(503))
	r := serve(t, erp(u.URL(), "breaker: { failure_threshold: 2, reset_timeout: 60s }"))
	l := r.failed()
	dry := func() ReplayResult { return r.replay(l.ID, ReplayOptions{DryRun: true}) }
	if got := dry(); got.Result != "would-send" {
		t.Errorf("%+v of a closed breaker", got)
	}
	r.failed()
	if got := dry(); got.Result != "refused" || !strings.HasPrefix(got.Reason, "the breaker is open, probes in ") {
		t.Errorf("%+v of a breaker that failures opened", got)
	}
	if err := r.server.SetBreaker("erp", BreakerOpen); err != nil {
		t.Fatal(err)
	}
	if got := dry(); got.Result != "refused" || !strings.Contains(got.Reason, "open by hand") {
		t.Errorf("%+v of a breaker opened by hand", got)
	}
	if err := r.server.SetBreaker("erp", BreakerReset); err != nil {
		t.Fatal(err)
	}
	if got := dry(); got.Result != "would-send" || u.Hits() != 2 {
		t.Errorf("%+v after the reset, %d requests", got, u.Hits())
	}
}
