package proxy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// What is wrong shows in status and health, also where no breaker opens and no call leaves the pod.
func TestWhatIsWrongShows(t *testing.T) {
	r := serve(t, erp(upstream.Always(t, upstream.Status(503)).URL(), "breaker: off"))
	r.call("GET", "/erp/x", "")
	if c := r.server.Health().Checks["erp-main"]; c.Status != "warn" || !strings.Contains(c.Message, "503") {
		t.Errorf("after a 503: %+v", c)
	}
}

func TestMissingCredentialsShow(t *testing.T) {
	token := t.TempDir() + "/token"
	u := upstream.Always(t, upstream.OK("ok"))
	r := serve(t, erp(u.URL(), "auth: { bearer: file:"+token+" }"))
	if a := r.call("GET", "/erp/x", ""); a.StatusCode != 503 || u.Hits() != 0 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if c := r.server.Health().Checks["erp-main"]; c.Status != "fail" || strings.Contains(c.Message, token) {
		t.Errorf("health %+v", c)
	}
	if s := r.server.Status().Adapters[0]; s.Health != "fail" || !strings.Contains(s.Message, token) {
		t.Errorf("status %+v", s)
	}
}
