//go:build e2e

package servers

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// A real Prometheus, with the rules as they are delivered but for their patience, tells the same as everybody else: the
// numbers, and the alerts that fire and end.
func TestPrometheusTellsTheDrillToo(t *testing.T) {
	t.Parallel()
	d := e2e.NewDrill(t, filepath.Join("..", "..", "docs", "drills", "slow-then-503.md"))
	rules, err := os.ReadFile(filepath.Join(rulesFolder, "rules.yaml"))
	must(t, err)
	p := startPrometheus(t, d.Sidecar, regexp.MustCompile(`(?m)^( +for:) .*$`).ReplaceAllString(string(rules), "$1 0s"))
	d.AddSource("Prometheus", func() e2e.Numbers {
		n := e2e.Numbers{"breaker": p.firing(t, "IntegrationBreakerOpen", "closed", "open"), "check": p.firing(t, "IntegrationHealthCheckFailing", "up", "down")}
		for column, series := range e2e.DrillSeries() {
			n[column] = p.only(t, series)
		}
		return n
	})
	d.Play()
	for alert, fired := range map[string]bool{"IntegrationLettersGrowing": true, "IntegrationLettersLost": false, "IntegrationRedisDown": false} {
		got, err := p.query(t, `max_over_time(ALERTS{alertname="`+alert+`", alertstate="firing"}[10m])`)
		if err != nil || (len(got) > 0) != fired {
			t.Errorf("%s fired: %v, want %v (%v)", alert, got, fired, err)
		}
	}
}

// only is the value of the only series that a query finds.
func (p *prometheus) only(t *testing.T, expr string) string {
	t.Helper()
	got, err := p.query(t, expr)
	if err != nil || len(got) != 1 {
		return strconv.Itoa(len(got)) + " series"
	}
	return strconv.FormatFloat(got[0].value, 'f', -1, 64)
}

// firing is yes or no, by whether an alert of the drill's adapter fires.
func (p *prometheus) firing(t *testing.T, alert, no, yes string) string {
	t.Helper()
	got, err := p.query(t, `ALERTS{alertname="`+alert+`", alertstate="firing"}`)
	switch {
	case err != nil:
		return err.Error()
	case len(got) == 0:
		return no
	case !strings.Contains(got[0].labels["adapter_id"], "sales-system") || len(got) > 1:
		return "firing for others"
	}
	return yes
}
