//go:build e2e

package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/fsm-integrations/sidecar/e2e"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

func TestALetterAppearsByItselfAndIsReplayedByClick(t *testing.T) {
	s := raise(t)
	b := browse(t, s.Sidecar, "#/letters")
	b.shows("main", "No letter waits")
	id := s.letters(simulator.Sales, 1)[0]
	b.until(`document.querySelector('.letters tr[data-key="` + id + `"]')`)
	b.click(`.letters tr[data-key="` + id + `"] [data-row]`)
	b.shows(".detail", "Why it failed", "server error", "3 attempts", "status 503", id, "sidecar dlq replay "+id, "header field")
	b.click(".detail details:last-of-type summary")
	b.shows(".detail pre", `"orderId": "SO-1001"`)

	b.click(`.detail [data-do="replay"]`)
	b.shows("dialog", "would send", "Replay 1 letter")
	if n := s.world.System(simulator.Sales).SideEffects(); n != 0 {
		t.Fatalf("a dry run had %d side effects", n)
	}
	b.fill(`dialog input[name="who"]`, "night shift")
	b.click(`dialog [data-do="job-send"]`)
	b.shows("dialog", "Replay finished", "1 replayed", "201")
	b.click(`dialog [data-do="shut"]`)
	b.shows("main", "No letter waits")
	b.shows(".detail", "replayed", "What was done to it", "night shift", "run-")
	if n := s.world.System(simulator.Sales).SideEffectsOf("SO-1001"); n != 1 {
		t.Errorf("the order was taken %d times", n)
	}
	if l := s.Letter(t, id); l.State != "replayed" {
		t.Errorf("the letter is %s", l.State)
	}
}

func TestManyLettersAreReplayedWithProgressAndStopped(t *testing.T) {
	s := raise(t)
	mails := s.letters(simulator.Email, 30)
	others := s.letters(simulator.Sales, 2)
	b := browse(t, s.Sidecar, "#/letters?adapter=email-gateway")
	b.shows(".acts", "30 letters")
	b.click(`.acts [data-do="replay"]`)
	b.shows("dialog", "Replay all letters that match", "30", "would send", "sidecar dlq replay --adapter 'email-gateway'")
	b.fill(`dialog input[name="who"]`, "night shift")
	b.choose(`dialog select[name="rate"]`, "5")
	b.click(`dialog [data-do="job-send"]`)
	b.until(`Number((document.querySelector('dialog progress') || {}).value) >= 3`)
	b.press(kb.Escape) // closes no replay that is under way
	b.click(`dialog [data-do="job-stop"]`)
	b.shows("dialog", "Replay stopped", "not tried", "--run")
	tried := value[int](b, `document.querySelectorAll('dialog .results tbody tr').length`)
	if left := len(s.Letters(t, "--adapter", simulator.Email)); tried == 30 || left != 30-tried {
		t.Errorf("%d were tried, %d are left", tried, left)
	}

	b.click(`dialog [data-do="shut"]`)
	b.shows(".acts", fmt.Sprintf("%d letters", 30-tried))
	b.click(`.acts [data-do="replay"]`)
	b.click(`dialog [data-do="job-send"]`)
	b.shows("dialog", "Replay finished", fmt.Sprintf("%d replayed", 30-tried))
	b.until(`(p => p.value === p.max)(document.querySelector('dialog progress'))`)
	if n := s.world.System(simulator.Email).SideEffects(); n != len(mails) {
		t.Errorf("%d mails were sent, want %d", n, len(mails))
	}
	if got := s.Letters(t); len(got) != len(others) {
		t.Errorf("%d letters wait, want those of the other adapter", len(got))
	}
}

func TestWhatIsRefusedSaysWhyAndNeedsForce(t *testing.T) {
	s := raise(t)
	sms := s.world.System(simulator.SMS) // honours no keys
	sms.Next(simulator.AcceptThenDrop())
	unknown := s.order(simulator.SMS).LetterID()
	fine := s.letters(simulator.SMS, 1)[0]
	b := browse(t, s.Sidecar, "#/letters")
	b.click(`.letters tr[data-key="` + unknown + `"] [data-row]`)
	b.shows(".detail", "outcome unknown", "Careful:")
	b.click(`input[value="all"]`)
	b.shows(".acts", "2 letters ticked")
	b.click(`.acts [data-do="replay"]`)
	b.shows("dialog", "refused", "outcome is unknown", "Send 1 refused one too", "Replay 1 letter")
	b.fill(`dialog input[name="who"]`, "night shift")
	b.click(`dialog [data-do="job-send"]`)
	b.shows("dialog", "Replay finished", "1 replayed")
	b.click(`dialog [data-do="shut"]`)
	if l := s.Letter(t, fine); l.State != "replayed" {
		t.Errorf("the letter that may be sent is %s", l.State)
	}
	if n := sms.SideEffects(); n != 2 { // the one whose answer was lost, and the replayed one
		t.Fatalf("%d side effects", n)
	}
	b.shows(".acts", "1 letter")
	b.click(`.acts [data-do="replay"]`)
	b.until(`(document.querySelector('dialog [data-do="job-send"]') || {}).disabled`)
	b.click(`dialog input[name="force"]`)
	b.shows("dialog", "Replay 1 letter by force", "--force")
	b.click(`dialog [data-do="job-send"]`)
	b.shows("dialog", "1 replayed")
	if n := sms.SideEffects(); n != 3 {
		t.Errorf("%d side effects after force", n)
	}
}

func TestLettersAreFilteredAndDiscarded(t *testing.T) {
	s := raise(t)
	a, e := s.letters(simulator.Sales, 2), s.letters(simulator.ERP, 1)
	b := browse(t, s.Sidecar, "#/letters")
	b.shows(".acts", "3 letters")
	b.choose(`select[name="adapter"]`, simulator.ERP)
	b.shows(".acts", "1 letter")
	b.choose(`select[name="error_type"]`, "timeout")
	b.shows("main", "No letter matches")
	b.click(`[data-do="unfilter"]`)
	b.shows(".acts", "3 letters")
	b.fill(`input[name="tenant"]`, "nobody")
	b.shows("main", "No letter matches")
	b.fill(`input[name="tenant"]`, "acme")
	b.shows(".acts", "3 letters")
	b.fill(`input[name="text"]`, a[0])
	b.shows(".acts", "1 letter")
	b.click(`input[value="` + a[0] + `"]`)
	b.click(`.acts [data-do="discard"]`)
	b.shows("dialog", "Discard 1 letter?")
	b.fill(`dialog input[name="who"]`, "night shift")
	b.click(`dialog [data-do="confirm-yes"]`)
	b.shows("#note", "1 letter discarded")
	if l := s.Letter(t, a[0]); l.State != "discarded" {
		t.Errorf("the letter is %s", l.State)
	}
	if got := s.Letters(t); len(got) != 2 || got[1] != e[0] {
		t.Errorf("%v wait", got)
	}
}

// What an application, a user or a provider wrote is shown as text, whatever it looks like.
func TestWhatStrangersWroteIsNeverMarkup(t *testing.T) {
	const nasty = `"><img src=x onerror=document.title='taken'><script>document.title='taken'</script>`
	s := raise(t, func(c *e2e.Setup) { c.Adapters = strings.ReplaceAll(c.Adapters, "max_retries: 2", "max_retries: 0") })
	up := s.world.System(simulator.Email)
	up.Default(simulator.Status(503))
	target := "/email-gateway/v3/" + strings.NewReplacer(" ", "%20", "<", "%3C", ">", "%3E", `"`, "%22").Replace(nasty)
	id := s.Do(t, "POST", target, `{"mail":"`+strings.ReplaceAll(nasty, `"`, `\"`)+`"}`, "Content-Type: application/json", "X-Tenant-ID: "+nasty, "X-User-ID: "+nasty, "X-Odd: "+nasty).LetterID()
	if id == "" {
		t.Fatal("the call left no letter")
	}
	b := browse(t, s.Sidecar, "#/letters?id="+id)
	b.shows(".detail", "<img src=x", "header field")
	b.click(".detail details:last-of-type summary")
	b.shows(".detail pre", "<script>")
	b.press("2")
	b.shows(".exchanges", "email-gateway")
	b.click(".exchanges [data-row]")
	b.shows(".detail", "<img src=x")
	if n := value[int](b, `document.querySelectorAll('img, main script, dialog script').length`); n != 0 {
		t.Errorf("%d elements came out of text", n)
	}
	if title := value[string](b, "document.title"); strings.Contains(title, "taken") {
		t.Errorf("the page's title is %q", title)
	}
}
