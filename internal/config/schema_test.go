package config

import (
	"os"
	"testing"

	sidecar "github.com/fsm-integrations/sidecar"
)

func TestSchemaAcceptsWhatParseAccepts(t *testing.T) {
	s := compileSchema(t)
	for _, text := range []string{
		string(sidecar.ExampleConfig),
		minimal,
		minimal + "drain: 0\ndlq: { max_bytes: 2097152, redis: off }\nredis: off\nvault: off\n",
		minimal + "defaults: { retry: { on: [429, \"429\", 5xx] }, breaker: off, rate_limit: {}, sign: off, max_body: 512 KiB }\n",
		minimal + "defaults: { timeout: { connect: 1m30s, attempt: 1.5s }, idempotency: { key_from: [tenant, \"body:/a\"] } }\n",
		"adapters:\n  a: { upstream: https://a.example.com, sign: { secret: env:S }, operations: [{ match: { path: /x }, sign: { header: Y } }] }\n",
	} {
		parse(t, text)
		if err := validates(t, s, []byte(text)); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

// TestSchemaRefusesBadDocuments: an editor marks what is wrong with a value before validate is run.
func TestSchemaRefusesBadDocuments(t *testing.T) {
	s := compileSchema(t)
	for _, name := range []string{"unknown-key", "wrong-type", "enum", "off", "literal-secret", "required", "out-of-range", "adapter-name", "adapters-none", "operation-host-setting", "quantity", "url"} {
		data, err := os.ReadFile("testdata/bad/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if validates(t, s, data) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
