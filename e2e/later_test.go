package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What this version cannot do yet: a file may hold it, validate takes it, and run refuses it rather than go on without.
func TestLaterFeaturesAreRefusedByRunAlone(t *testing.T) {
	t.Parallel()
	const upstream = "http://127.0.0.1:1"
	for name, c := range map[string]struct{ key, top, dlq, policy string }{
		"health checks": {key: "health", policy: "health: { path: /healthz, interval: 10s }"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Prepare(t, Setup{Adapters: Adapter("sales", upstream, c.policy), Top: c.top, DLQ: c.dlq})
			s.Write(s.Setup)
			line := lineOf(t, s.ConfigFile, c.key+":")
			if r := s.Command(t, "validate", "--config", s.ConfigFile); r.Code != 0 {
				t.Errorf("validate ends with code %d, want 0:\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			s.launch()
			if code := s.Wait(patience); code != 1 {
				t.Errorf("run ends with code %d, want 1", code)
			}
			if want := fmt.Sprintf(`sidecar\.yaml:%d:\d+: .*not available yet`, line); !regexp.MustCompile(want).MatchString(s.Log.String()) {
				t.Errorf("run says\n%s\nwant a line that matches %s", s.Log, want)
			}
		})
	}
}

// lineOf returns the number of the line of file that holds text.
func lineOf(t *testing.T, file, text string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		if strings.Contains(line, text) {
			return n
		}
	}
	t.Fatalf("%s holds no %q", filepath.Base(file), text)
	return 0
}
