package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestOneLineForEachExchange(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), OK("ok"), Status(500))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "id: sales-id")})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	s.Get(t, "/sales/secret-path?q=query-value", "X-Correlation-ID: corr-1", "X-Tenant-ID: acme", "traceparent: 00-"+trace+"-00f067aa0ba902b7-01")
	s.Post(t, "/sales/a", `{"b":"body-value"}`, "X-Correlation-ID: corr-2")
	s.Get(t, "/unknown/a", "X-Correlation-ID: corr-3")
	for id, want := range map[string][]string{
		"corr-1": {`"sales-id"`, "200", trace, "acme", "GET"},
		"corr-2": {`"sales-id"`, "500", "server_error", "POST"},
		"corr-3": {"404", "no-adapter"},
	} {
		var lines []string
		Eventually(t, "the log line of "+id, func() bool {
			lines = linesWith(s.Log.String(), `"`+id+`"`)
			return len(lines) > 0
		})
		if len(lines) != 1 {
			t.Errorf("%d lines of exchange %s, want one:\n%s", len(lines), id, strings.Join(lines, "\n"))
		}
		var entry map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &entry); err != nil {
			t.Errorf("the line of %s is no JSON object: %v: %s", id, err, lines[0])
		}
		if entry["time"] == nil || entry["level"] == nil || entry["msg"] == nil {
			t.Errorf("the line of %s lacks time, level or msg: %s", id, lines[0])
		}
		if !containsAll(lines[0], want...) {
			t.Errorf("the line of %s does not say %v: %s", id, want, lines[0])
		}
	}
	for _, value := range []string{"query-value", "body-value"} {
		if strings.Contains(s.Log.String(), value) {
			t.Errorf("the log holds %s", value)
		}
	}
}

func linesWith(text, part string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// What strangers send must not be able to forge a line.
func TestLogLinesCannotBeForged(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for i, target := range []string{"/sales/a%0a%7b%22forged%22", "/sales/%e2%80%a8forged", "/forged%0a"} {
		s.Get(t, target, fmt.Sprint("X-Correlation-ID: forge-", i), `X-Tenant-ID: a","forged":"b`, "X-User-ID: \t\"forged")
		Eventually(t, "the log line", func() bool { return len(linesWith(s.Log.String(), fmt.Sprint("forge-", i))) > 0 })
	}
	for line := range strings.Lines(s.Log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("a line of the log is no JSON object: %v: %q", err, line)
		}
		if _, ok := entry["forged"]; ok {
			t.Errorf("a caller put a field of its own into the log: %s", line)
		}
	}
}
