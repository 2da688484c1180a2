package proxy

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestEveryAnswerOfAnAdapterNamesItsVersion(t *testing.T) {
	u := upstream.Script(t, upstream.WithHeader(upstream.OK("ok"), "X-Adapter-Version", "9.9.9"), upstream.Status(500))
	r := serve(t, erp(u.URL(), "validate: { methods: [GET] }"))
	for _, method := range []string{"GET", "GET", "DELETE"} {
		if a := r.call(method, "/erp/x", ""); len(a.Header.Values("X-Adapter-Version")) != 1 || a.Header.Get("X-Adapter-Version") != "1.2.3" {
			t.Errorf("%s: %v", method, a.Header)
		}
	}
	if a := r.call("GET", "/nobody/x", ""); a.Header.Values("X-Adapter-Version") != nil {
		t.Errorf("an answer of no adapter: %v", a.Header)
	}
	if a := r.call("GET", "/erp/x", "", "X-Adapter-Version", "2"); a.StatusCode != 412 || kindIn(t, a) != "adapter-version-mismatch" || a.Header.Get("X-Adapter-Version") != "1.2.3" || u.Hits() != 2 {
		t.Errorf("%d %s after %d calls", a.StatusCode, a.body, u.Hits())
	}
	families, err := r.deps.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "integration_adapter_info" {
			if m := f.GetMetric(); len(m) != 1 || m[0].GetLabel()[0].GetValue() != "erp-main" || m[0].GetLabel()[1].GetValue() != "1.2.3" || m[0].GetGauge().GetValue() != 1 {
				t.Errorf("%v", m)
			}
			return
		}
	}
	t.Error("no metric has the version")
}

func TestAnAnswerSaysWhatItsBodyTold(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(207, `{"errors":[1]}`))
	r := serve(t, erp(u.URL(), `classify: { failed_when: ".errors | length > 0" }`, "transform: { response: .errors }"))
	for _, replayed := range []string{"", "true"} {
		a := r.call("POST", "/erp/batch", "{}", "Idempotency-Key", "k")
		if a.StatusCode != 207 || a.body != "[1]" || a.Header.Get("Proxy-Status") != `integration-sidecar; received-status=207; details="partial_failure"` || a.Header.Get("Idempotency-Replayed") != replayed {
			t.Errorf("%d %s, fields %v", a.StatusCode, a.body, a.Header)
		}
	}
	l := r.letters()
	if len(l) != 1 || l[0].Error.Type != "partial_failure" {
		t.Fatalf("letters %v", l)
	}
	for _, o := range []ReplayOptions{{DryRun: true}, {}, {Force: true}, {auto: true}} {
		if got := r.replay(l[0].ID, o); got.Result != "refused" || !strings.Contains(got.Reason, "some of its call took effect") || u.Hits() != 1 {
			t.Errorf("%+v: %+v after %d calls", o, got, u.Hits())
		}
	}
}

func TestAReplayThatFailedInPartIsNotReplayedAgain(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.JSON(200, `{"errors":[1]}`))
	r := serve(t, erp(u.URL(), `classify: { failed_when: ".errors | length > 0" }`))
	l := r.failed("Idempotency-Key", "k")
	if got := r.replay(l.ID, ReplayOptions{}); got.Result != "failed" || !strings.Contains(got.Reason, "tells of a partial_failure") {
		t.Errorf("%+v", got)
	}
	if after, _ := r.deps.Letters.Get(l.ID); after.State != dlq.Dead || after.Error.Type != "partial_failure" {
		t.Errorf("letter %s, %s", after.State, after.Error.Type)
	}
	if got := r.replay(l.ID, ReplayOptions{Force: true}); got.Result != "refused" {
		t.Errorf("again: %+v", got)
	}
}

// A letter keeps the application's call: a program that was mended meanwhile is the one that its replay passes, once.
func TestAReplayIsTransformedOnceByTheProgramOfNow(t *testing.T) {
	u := upstream.Script(t, upstream.Status(500), upstream.OK(""))
	r := serve(t, erp(u.URL(), "transform: { request: '{wrong: .a}' }"))
	l := r.failed("Content-Type", "application/json", "X-Adapter-Version", "^1.2")
	if err := r.server.Use(document(t, erp(u.URL(), "transform: { request: '{right: .a}' }"))); err != nil {
		t.Fatal(err)
	}
	if got := r.replay(l.ID, ReplayOptions{}); got.Result != "replayed" {
		t.Fatalf("%+v", got)
	}
	if first, second := string(u.Request(1).Body), string(u.Request(2).Body); first != `{"wrong":1}` || second != `{"right":1}` {
		t.Errorf("sent %s, then %s", first, second)
	}
}

func TestALetterIsNotReplayedByAnotherVersionThanItsCallAskedFor(t *testing.T) {
	u := upstream.Script(t, upstream.Status(500))
	r := serve(t, erp(u.URL()))
	l := r.failed("X-Adapter-Version", "^1.2")
	if err := r.server.Use(document(t, strings.Replace(erp(u.URL()), "1.2.3", "2.0.0", 1))); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		if got := r.replay(l.ID, ReplayOptions{DryRun: dry, Force: true}); got.Result != "refused" || got.Reason != "its call asked for version ^1.2 of the adapter (X-Adapter-Version), which is 2.0.0" {
			t.Errorf("%+v", got)
		}
	}
}

func TestViolationsReachTheApplication(t *testing.T) {
	path := filepath.Join(t.TempDir(), "order.json")
	if err := os.WriteFile(path, []byte(`{"required":["orderId"],"properties":{"card":{"type":"integer"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	u := upstream.Script(t)
	r := serve(t, erp(u.URL(), "validate: { schema: 'file:"+path+"' }"))
	a := r.call("POST", "/erp/orders", `{"card":"4111-1111"}`, "Content-Type", "application/json")
	doc := problemIn(t, a)
	list, _ := doc["errors"].([]any)
	if a.StatusCode != http.StatusUnprocessableEntity || len(list) != 2 || strings.Contains(a.body, "4111") || strings.Contains(r.log.String(), "4111") {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if first, _ := list[0].(map[string]any); first["pointer"] != "/card" || first["detail"] != "must be integer, and is string" {
		t.Errorf("%v", list)
	}
}
