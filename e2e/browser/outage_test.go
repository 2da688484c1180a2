//go:build e2e

package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/fsm-integrations/sidecar/e2e"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// shortBreaker lets the breakers probe within the time of a test.
func shortBreaker(c *e2e.Setup) {
	c.Adapters = strings.ReplaceAll(c.Adapters, "reset_timeout: 40s", "reset_timeout: 2s")
}

// The page is open all the time and never loaded again.
func TestAnOutageIsSeenFromItsBeginningToItsEnd(t *testing.T) {
	s := raise(t, shortBreaker)
	b := browse(t, s.Sidecar, "")
	b.shows(".verdict", "Nothing is wrong", "5 adapters serving")
	s.order(simulator.Sales)
	b.shows(`tr[data-adapter="sales-system"]`, "100 % of 1", "closed", "well")

	sales := s.world.System(simulator.Sales)
	sales.Default(simulator.Status(503))
	for range 3 {
		s.order(simulator.Sales)
	}
	b.shows(".verdict", "sales-system: breaker", "since", "503", "Do:")
	b.shows(`tr[data-adapter="sales-system"]`, "3 failed")
	b.until(`(document.querySelector('nav .badge') || {innerText: ''}).innerText.startsWith('3')`)
	if title := b.text(`tr[data-adapter="erp-system"]`); !strings.Contains(title, "well") {
		t.Errorf("another adapter is told to be %s", title)
	}

	sales.Recover()
	<-time.After(2 * time.Second) // the breaker's own time
	for range 2 {
		s.order(simulator.Sales)
	}
	b.shows(`tr[data-adapter="sales-system"]`, "closed", "well")
	b.shows(".verdict", "3 letters wait")
	if text := b.text(".verdict"); strings.Contains(text, "breaker open") {
		t.Errorf("the outage is over and still told: %s", text)
	}
}

func TestFailuresThatOpenNoBreakerAreToldToo(t *testing.T) {
	s := raise(t)
	b := browse(t, s.Sidecar, "")
	s.world.System(simulator.ERP).Default(simulator.Status(400))
	for range 6 {
		s.order(simulator.ERP)
	}
	b.shows(".verdict", "erp-system: 100 % of calls fail", "client error", "contract")
	b.click(`.verdict a`)
	b.shows("h1", "Exchanges")
	b.shows(".exchanges", "400 client error")
}

func TestAnExchangeIsFoundByItsCorrelationID(t *testing.T) {
	s := raise(t)
	s.world.System(simulator.Email).Next(simulator.Status(503), simulator.Slow(80*time.Millisecond))
	s.order(simulator.Email, "X-Correlation-ID: find-me-3am")
	s.order(simulator.ERP)
	b := browse(t, s.Sidecar, "#/exchanges")
	b.shows(".exchanges", "email-gateway", "erp-system")
	b.press("/")
	b.write("FIND-ME")
	b.shows("main", "1 exchange")
	b.click(".exchanges [data-row]")
	b.shows(".detail", "2 attempts", "status 503", "status 202", "find-me-3am", "pause")
	b.press(kb.Escape, kb.Escape)
	b.until("!document.querySelector('.detail')")
}

func TestABreakerIsOpenedAndClosedByHand(t *testing.T) {
	s := raise(t)
	b := browse(t, s.Sidecar, "")
	b.click(`tr[data-adapter="sms-gateway"] [data-action="open"]`)
	b.shows("dialog", "Open the breaker of sms-gateway?", "sidecar breaker open sms-gateway")
	b.until(`(document.querySelector('dialog [data-do="confirm-yes"]') || {}).disabled`) // nobody has said who asks
	b.fill(`dialog input[name="who"]`, "night shift")
	b.click(`dialog [data-do="confirm-yes"]`)
	b.shows(".verdict", "sms-gateway: breaker opened by hand")
	b.shows("#note", "is open now")
	if a := s.order(simulator.SMS); a.Status != 503 || a.Kind() != "circuit-open" {
		t.Errorf("a call is answered %d %s", a.Status, a.Kind())
	}
	b.click(`.verdict [data-action="close"]`) // the name is known by now
	b.click(`dialog [data-do="confirm-yes"]`)
	b.until(`document.querySelector('tr[data-adapter="sms-gateway"] td:nth-child(3) .tag.good')`)
	if a := s.order(simulator.SMS); a.Status != 202 {
		t.Errorf("a call is answered %d", a.Status)
	}
	// A name with a space was once typed as one word: each letter that was typed trimmed what stood there.
	for _, action := range []string{"breaker open", "breaker close"} {
		if !strings.Contains(s.Log.String(), `"who":"night shift"`) || !strings.Contains(s.Log.String(), `"action":"`+action+`","object":"sms-gateway"`) {
			t.Errorf("the audit lacks %s by night shift", action)
		}
	}
}

func TestThePageSaysThatTheSidecarIsGoneAndFindsItAgain(t *testing.T) {
	s := raise(t)
	b := browse(t, s.Sidecar, "")
	b.shows("header", "ready")
	b.forgive()
	s.Kill9()
	b.shows("main", "No answer from the sidecar", "What is shown is from then")
	b.shows("header", "no answer")
	b.shows(".adapters", "sales-system")
	s.Restart()
	b.shows("header", "ready")
	b.until("!document.querySelector('main .error')")
}
