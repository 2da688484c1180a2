//go:build e2e

package browser

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fsm-integrations/sidecar/e2e"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// TestEveryViewIsAccessibleInBothColours walks through the views during an outage. With -update it writes the screenshots.
func TestEveryViewIsAccessibleInBothColours(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // so that the name of the file that the page shows is the same on every machine
	s := raise(t, func(c *e2e.Setup) { c.Dir, c.Config = dir, "sidecar.yaml" })
	b := browse(t, s.Sidecar, "")
	b.shows("main", "Nothing is wrong", "no calls")
	b.scheme("light")
	b.accessible("an empty page")
	if s.day(); *update { // the drawings need some time behind them
		for range 12 {
			<-time.After(6 * time.Second)
			s.day()
		}
	}
	s.letters(simulator.SMS, 2)
	sales := s.world.System(simulator.Sales)
	sales.Default(simulator.Status(503))
	for range 4 {
		s.order(simulator.Sales)
	}
	b.shows(".verdict", "sales-system: breaker open", "letters wait")
	b.shows(".adapters", "p95")
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.press("1")
		b.shows("h2", "wrong")
		b.until("document.querySelectorAll('.adapters .spark').length >= 8")
		b.accessible(scheme + " overview")
		b.shoot(scheme, "overview", "light", "dark")
		b.press("2")
		b.shows("h1", "Exchanges")
		b.click(`.exchanges tbody tr:nth-child(4) [data-row]`)
		b.shows(".detail", "On the command line")
		b.accessible(scheme + " exchanges")
		b.shoot(scheme, "exchanges", "dark")
		b.press("3")
		b.shows("h1", "Letters")
		b.click(`.letters tbody tr:nth-child(4) [data-row]`)
		b.shows(".detail", "Why it failed", "dlq show")
		b.accessible(scheme + " letters")
		b.shoot(scheme, "letters", "light")
		b.click(`.acts [data-do="replay"]`)
		b.shows("dialog", "would send", "refused")
		b.accessible(scheme + " dry run")
		b.shoot(scheme, "replay", "light")
		b.click(`dialog [data-do="shut"]`)
		b.press("4")
		b.shows("main", "retry.max_retries", "sidecar.yaml:")
		b.accessible(scheme + " configuration")
		b.shoot(scheme, "configuration", "light")
	}
}

func TestTheChecksOfAccessibilityFindWhatIsWrong(t *testing.T) {
	b := browse(t, raise(t).Sidecar, "")
	b.shows("main", "Nothing is wrong")
	b.do(chromedp.Evaluate[chromedp.Void](`document.body.append(document.createElement("button"), document.createElement("img"))`))
	found := map[string]bool{}
	for _, v := range b.violations() {
		found[v.ID] = true
	}
	if !found["button-name"] || !found["image-alt"] {
		t.Errorf("a button without a name and an image without a text are not found, but %v", found)
	}
}
