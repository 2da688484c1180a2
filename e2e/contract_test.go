package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeSchema replaces a schema at once, as an editor or the kubelet does.
func writeSchema(t *testing.T, s *Sidecar, name, text string) {
	t.Helper()
	path := filepath.Join(s.Dir, "schemas", name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path+".next", []byte(text), 0o644))
	must(t, os.Rename(path+".next", path))
}

func TestTheContractOfAnAdapterFromOutside(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK(`{"result":{"id":12345678901234567890,"price":1.10},"errors":[]}`, "Content-Type: application/json", "Content-Digest: sha-256=:x:"),
		OK(`{"result":null,"errors":[{"card":"pii-canary"}]}`, "Content-Type: application/json"))
	s := Prepare(t, Setup{})
	writeSchema(t, s, "order.json", `{"type":"object","required":["orderId"],"properties":{"orderId":{"type":"string"},"lines":{"items":{"$ref":"line.json"}}}}`)
	writeSchema(t, s, "line.json", `{"required":["sku"]}`)
	s.Write(Setup{Adapters: Adapter("sales", up.URL, "version: 2.1.0", "validate: { schema: file:schemas/order.json }",
		"transform: { request: '{order: ., source: \"fsm\"}', response: .result }", "classify: { failed_when: '.errors | length > 0' }")})
	s.launch()
	s.WaitReady()

	p := s.Post(t, "/sales/orders", `{"lines":[{"card":"pii-canary"}]}`).WantProblem(t, 422, "schema-violation")
	if up.Count() != 0 || strings.Contains(p.Detail, "pii-canary") {
		t.Errorf("%d calls, %s", up.Count(), p.Detail)
	}
	s.Post(t, "/sales/orders", `{"orderId":`).WantProblem(t, 400, "invalid-request")
	s.Post(t, "/sales/orders", `{"orderId":"o-1"}`, "X-Adapter-Version: ^3").WantProblem(t, 412, "adapter-version-mismatch")

	a := s.Post(t, "/sales/orders", `{"price":1.10,"orderId":"o-1"}`, "X-Adapter-Version: ^2.0", "Idempotency-Key: k-1", "Accept-Encoding: gzip")
	a.WantStatus(t, 200)
	if a.Body != `{"id":12345678901234567890,"price":1.10}` || a.Header.Get("X-Adapter-Version") != "2.1.0" || a.Header.Get("Content-Digest") != "" {
		t.Errorf("%s, fields %v", a.Body, a.Header)
	}
	if sent := up.Last(t); sent.Body != `{"order":{"orderId":"o-1","price":1.10},"source":"fsm"}` || sent.Header.Get("X-Adapter-Version") != "" {
		t.Errorf("sent %s, fields %v", sent.Body, sent.Header)
	}

	partly := s.Post(t, "/sales/orders", `{"orderId":"o-2"}`, "Idempotency-Key: k-2")
	partly.WantStatus(t, 200)
	if partly.Body != "null" || !strings.Contains(partly.Header.Get("Proxy-Status"), "partial_failure") || partly.LetterID() == "" {
		t.Errorf("%s, fields %v", partly.Body, partly.Header)
	}
	if r := s.Command(t, "dlq", "list", "--error-type", "partial_failure"); r.Code != 0 || !strings.Contains(r.Stdout, partly.LetterID()) {
		t.Errorf("dlq list: %d %s %s", r.Code, r.Stdout, r.Stderr)
	}
	if r := s.Command(t, "dlq", "replay", partly.LetterID(), "--force"); !strings.Contains(r.Stdout+r.Stderr, "some of its call took effect") {
		t.Errorf("dlq replay: %d %s %s", r.Code, r.Stdout, r.Stderr)
	}
	up.WantCount(t, 2)
	s.Metrics(t).Want(t, `integration_adapter_info{adapter_id="sales",version="2.1.0"}`, 1)
	if strings.Contains(s.Log.String(), "pii-canary") {
		t.Error("the log repeats a body")
	}
}

// A schema that changes on disk is taken without a signal, also one that another refers to, and also when it was missing.
func TestAChangedSchemaIsTakenWithoutASignal(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Prepare(t, Setup{})
	writeSchema(t, s, "order.json", `{"properties":{"line":{"$ref":"line.json"}}}`)
	writeSchema(t, s, "line.json", `{"type":"string"}`)
	s.Write(Setup{Adapters: Adapter("sales", up.URL, "validate: { schema: file:schemas/order.json }")})
	s.launch()
	s.WaitReady()
	taken := func(status int, what string) {
		t.Helper()
		Eventually(t, what, func() bool { return s.Post(t, "/sales/a", `{"line":1}`).Status == status })
	}
	taken(422, "the first schema")
	writeSchema(t, s, "line.json", `{"type":"integer"}`)
	taken(200, "a schema that another refers to")

	writeSchema(t, s, "order.json", `{"type":"objekt"}`)
	Eventually(t, "a schema that is none to be refused", func() bool { return s.Metrics(t)[reloadSuccess] == 0 })
	s.Post(t, "/sales/a", `{"line":1}`).WantStatus(t, 200)
	writeSchema(t, s, "order.json", `{"required":["id"]}`)
	taken(422, "the schema that was mended")
	s.Metrics(t).Want(t, reloadSuccess, 1)

	s.Write(Setup{Adapters: Adapter("sales", up.URL, "validate: { schema: file:schemas/next.json }")})
	Eventually(t, "a schema that is missing to be refused", func() bool { return s.Metrics(t)[reloadSuccess] == 0 })
	if !strings.Contains(s.Log.String(), "next.json") {
		t.Error("the log does not name the file that is missing")
	}
	writeSchema(t, s, "next.json", `{"required":["line"]}`)
	taken(200, "the schema that was missing")
}
