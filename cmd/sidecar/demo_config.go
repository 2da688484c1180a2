package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// edit sets one value of a configuration's text. The demo runs config.example.yaml itself with a few values changed,
// not a configuration of its own, so that what it shows is what the example does.
type edit struct {
	block string // keys of the block that holds the value, such as adapters.sales-system
	key   string // its key, which stands only once in the block
	value string // what to write there; "" makes the line a comment
	told  string // what the value is called, when the visitor must know that it differs from the example
}

// demoEdits lists everything in which the demo differs from the example: addresses, where secrets are, and the three
// times that would make the day take minutes.
func demoEdits(dir string, world *simulator.World) []edit {
	const sales, email = "adapters." + simulator.Sales, "adapters." + simulator.Email
	edits := []edit{
		{block: "listen", key: "proxy", value: "127.0.0.1:0"},
		{block: "listen", key: "admin", value: "127.0.0.1:0"},
		{block: "listen", key: "probes", value: "127.0.0.1:0"},
		{block: "dlq", key: "dir", value: strconv.Quote(filepath.Join(dir, "dlq"))},
		{block: sales, key: "listen"}, // one address is enough for a story
		{block: sales, key: "initial_delay", value: "100ms", told: "first retry after"},
		{block: email, key: "initial_delay", value: "25ms", told: "first retry after"},
		{block: email, key: "reset_timeout", value: "2s", told: "breaker open for"},
	}
	for _, s := range world.Systems() {
		edits = append(edits, edit{block: "adapters." + s.Name, key: "upstream", value: s.URL})
	}
	for _, s := range demoSecrets() {
		edits = append(edits, edit{block: "adapters." + s.adapter, key: s.key, value: strconv.Quote("file:" + filepath.Join(dir, s.file))})
	}
	return edits
}

// demoSecret is a value the sidecar puts on calls and the application never sees. It is in a file, as Kubernetes
// mounts it, and not in the environment, which belongs to whoever started the demo.
type demoSecret struct {
	adapter, key string // where the configuration refers to it
	file, value  string
	written      string // the file's name for the one tenant of the demo, when file has {tenant} in it
}

const demoTenant = "tenant-a"

func demoSecrets() []demoSecret {
	return []demoSecret{
		{adapter: simulator.Sales, key: "bearer", file: "sales-token", value: "demo-sales-token"},
		{adapter: simulator.Sales, key: "secret", file: "sales-signing-key", value: "demo-sales-signing-key"},
		{adapter: simulator.ERP, key: "password", file: "erp-password", value: "demo-erp-password"},
		{adapter: simulator.ESignature, key: "value", file: "{tenant}-esign-key", value: "demo-esign-key", written: demoTenant + "-esign-key"},
		{adapter: simulator.SMS, key: "value", file: "sms-key", value: "demo-sms-key"},
		{adapter: simulator.Email, key: "bearer", file: "email-token", value: "demo-email-token"},
	}
}

// demoSystems sets the external systems up to demand what config.example.yaml gives them.
func demoSystems() map[string]simulator.Setting {
	secrets := map[string]string{}
	for _, s := range demoSecrets() {
		secrets[s.file] = s.value
	}
	return map[string]simulator.Setting{
		simulator.Sales: {Credential: simulator.Bearer(secrets["sales-token"]), Signature: simulator.Signature{
			Secret: secrets["sales-signing-key"], Prefix: "sha256=", TimestampField: "X-Signature-Timestamp", Content: "{timestamp}.{body}"}},
		simulator.ERP:        {Credential: simulator.Basic("fsm-integration", secrets["erp-password"])},
		simulator.ESignature: {Credential: simulator.Header("X-API-Key", secrets["{tenant}-esign-key"])},
		simulator.SMS:        {Credential: simulator.Header("X-API-Key", secrets["sms-key"])},
		simulator.Email:      {Credential: simulator.Bearer(secrets["email-token"])},
	}
}

func writeDemoSecrets(dir string) error {
	for _, s := range demoSecrets() {
		name := cmp.Or(s.written, s.file)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s.value+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the edits and returns the text, and a line for each that is told. Comments and order stay, so that the
// file can be read beside the example. An edit that fits nothing, or two places, is an error: the example changed.
func apply(text string, edits []edit) (string, []string, error) {
	var told []string
	for _, e := range edits {
		from, to, ok := block(text, e.block)
		if !ok {
			return "", nil, fmt.Errorf("the configuration has no block %s", e.block)
		}
		found := valueOf(e.key).FindAllStringSubmatchIndex(text[from:to], -1)
		if len(found) != 1 {
			return "", nil, fmt.Errorf("%s.%s is in the configuration %d times, not once", e.block, e.key, len(found))
		}
		start, end := from+found[0][4], from+found[0][5]
		if e.value == "" {
			key := from + found[0][2]
			text = text[:key] + "# " + text[key:]
			continue
		}
		if e.told != "" {
			told = append(told, fmt.Sprintf("%s: %s %s instead of %s", strings.TrimPrefix(e.block, "adapters."), e.told, e.value, text[start:end]))
		}
		text = text[:start] + e.value + text[end:]
	}
	return text, told, nil
}

// valueOf matches a key and its scalar value, in a block or inside { }. Group 1 is the key, group 2 the value.
func valueOf(key string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)(?:^ *|[{,] +)(` + regexp.QuoteMeta(key) + `): +([^\s#,{][^#,\n]*?)(?:,| +[}#]|$)`)
}

// block finds what is indented below the keys of a path.
func block(text, path string) (from, to int, ok bool) {
	to = len(text)
	for depth, key := range strings.Split(path, ".") {
		indent := strings.Repeat("  ", depth)
		head := regexp.MustCompile(`(?m)^` + indent + regexp.QuoteMeta(key) + `:.*\n`).FindStringIndex(text[from:to])
		if head == nil {
			return 0, 0, false
		}
		from += head[1]
		if next := regexp.MustCompile(`(?m)^ {0,` + strconv.Itoa(len(indent)) + `}[^ \n]`).FindStringIndex(text[from:to]); next != nil {
			to = from + next[0]
		}
	}
	return from, to, true
}
