//go:build e2e

package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/fsm-integrations/sidecar/e2e"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

func TestTheConfigurationShowsTheLineOfEachValueAndTheFaultsOfAReload(t *testing.T) {
	s := raise(t)
	b := browse(t, s.Sidecar, "#/configuration?adapter=sales-system")
	line := func(text string) string {
		for i, l := range strings.Split(s.Command(t, "explain", "--config", s.ConfigFile, "POST", "/sales-system/api/v2/orders/intake").Stdout, "\n") {
			if fields := strings.Fields(l); i > 0 && len(fields) > 2 && fields[0] == text {
				return fields[1] + " " + fields[len(fields)-1][strings.LastIndex(fields[len(fields)-1], "/")+1:]
			}
		}
		return "nothing"
	}
	shown := func(path string) string {
		return strings.Join(strings.Fields(strings.TrimPrefix(b.text(`.values tr[data-key="`+path+`"]`), path)), " ")
	}
	b.shows(".values", "timeout.attempt")
	b.choose(`select[name="operation"]`, "POST /api/v2/orders/intake")
	b.shows(`.values tr[data-key="timeout.attempt"]`, "10s", "the adapter's own: 5s")
	for _, path := range []string{"retry.max_retries", "breaker.failure_threshold", "max_body", "auth.bearer"} {
		if got, want := shown(path), line(path); got != want {
			t.Errorf("%s is shown as %q, explain says %q", path, got, want)
		}
	}
	b.click(`input[name="written"]`)
	b.until(`!document.querySelector('.values .built-in')`)
	b.fill(`input[name="text"]`, "breaker")
	b.until(`document.querySelectorAll('.values tbody tr').length === 3`)

	// A file with a fault changes nothing, and the page says which.
	b.press(kb.Escape) // out of the field
	s.WriteText("adapters:\n  sales-system:\n    upstraem: http://127.0.0.1:1\n")
	b.shows(".reload", "last one refused", "upstraem")
	b.press("1")
	b.shows(".verdict", "The last configuration was refused", "upstraem")
	b.press("4")
	b.click(`[data-do="reload"]`)
	b.fill(`dialog input[name="who"]`, "night shift")
	b.forgive() // the answer is 422
	b.click(`dialog [data-do="confirm-yes"]`)
	b.shows(".reload", "the sidecar goes on with the one it has", "upstraem")
	s.Write(s.Setup)
	b.click(`[data-do="reload"]`)
	b.click(`dialog [data-do="confirm-yes"]`)
	b.until(`document.querySelector('.reload .tag.good')`)
}

func TestTheTokenIsAskedForOnceAndKeptInTheTab(t *testing.T) {
	s := raise(t, func(c *e2e.Setup) { c.Env = append(c.Env, "SIDECAR_ADMIN_TOKEN=s3cret-token") })
	file := filepath.Join(t.TempDir(), "token")
	token := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token("s3cret-token")
	text, err := os.ReadFile(s.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	s.WriteText(strings.Replace(string(text), "listen: {", "listen: { admin_token: file:"+file+",", 1))
	s.Kill9()
	s.Restart()
	b := browse(t, s.Sidecar, "")
	b.forgive() // of 401
	b.shows("main", "This sidecar wants its admin token")
	b.accessible("the form for the token")
	b.fill(`input[name="token"]`, "wrong")
	b.press(kb.Enter)
	b.shows("main", "That is not the token.")
	b.fill(`input[name="token"]`, "s3cret-token")
	b.press(kb.Enter)
	b.shows(".adapters", "sales-system")
	id := s.letters(simulator.Sales, 1)[0]
	b.press("3")
	b.until(`document.querySelector('.letters tr[data-key="` + id + `"]')`)
	b.do(reload())
	b.shows(".letters", "sales-system")

	// Another token is in force while the page is open. It asks, and goes on asking, although it is still being told.
	token("n3xt-token")
	b.until(`document.querySelector('input[name="token"]') || (location.hash = location.hash === '#/letters' ? '#/exchanges' : '#/letters', false)`)
	<-time.After(3 * time.Second)
	b.shows("main", "This sidecar wants its admin token")
	b.until(`(location.hash = '#/configuration', true)`) // what it asks for now is refused, and asked for again with the token
	b.fill(`input[name="token"]`, "n3xt-token")
	b.press(kb.Enter)
	b.shows("main", "sales-system")
	if kept := value[bool](b, `JSON.stringify(localStorage).includes("-token") || document.cookie.includes("-token")`); kept {
		t.Error("the token outlives the tab")
	}
	b.click(`[data-do="forget"]`)
	b.shows("main", "This sidecar wants its admin token")
}

// An outage is found, a letter read and replayed, without a mouse.
func TestOnlyTheKeyboard(t *testing.T) {
	s := raise(t)
	ids := s.letters(simulator.Email, 2)
	b := browse(t, s.Sidecar, "")
	b.shows(".verdict", "2 letters wait")
	focused := func() string {
		return value[string](b, `(e => e.getAttribute('aria-label') || e.innerText || e.name || e.nodeName)(document.activeElement)`)
	}
	// Everything that can be clicked is reached by Tab, and shows that it has the focus.
	seen := map[string]bool{}
	for range 80 {
		b.press(kb.Tab)
		seen[focused()] = true
		if value[bool](b, `document.activeElement !== document.body && getComputedStyle(document.activeElement).outlineStyle === 'none'`) {
			t.Errorf("%s does not show its focus", focused())
		}
	}
	for _, want := range []string{"Skip to the content", "Overview", "Keys", "Theme: system", "email-gateway", "Open the breaker of email-gateway", "Reset the breaker of sales-system"} {
		if !seen[want] {
			t.Errorf("Tab never reached %s, but %v", want, seen)
		}
	}
	b.press("?")
	b.shows("dialog", "Keys", "down and up in a list")
	b.press(kb.Escape)
	b.until("!document.querySelector('dialog').open")

	b.press("3")
	b.shows(".acts", "2 letters")
	b.press("j", "j", "k")
	if got := value[string](b, "document.activeElement.dataset.id"); got != ids[1] { // the newest is first
		t.Errorf("j j k leads to %s, want %s", got, ids[1])
	}
	b.press(kb.Enter)
	b.shows(".detail", "Why it failed")
	b.press(kb.Escape)
	b.until("!document.querySelector('.detail')")
	if got := value[string](b, "document.activeElement.dataset.id || ''"); got != ids[1] {
		t.Errorf("Escape leaves the focus on %s", focused())
	}
	b.press("x")
	b.shows(".acts", "1 letter ticked")
	b.press("r")
	b.shows("dialog", "would send")
	b.until("document.activeElement.name === 'who'")
	b.write("night shift")
	for range 12 {
		if b.press(kb.Tab); strings.HasPrefix(focused(), "Replay 1 letter") {
			break
		}
	}
	b.press(kb.Enter)
	b.shows("dialog", "Replay finished", "1 replayed")
	b.until(`document.getElementById('live').textContent.includes('Replay finished: 1 replayed')`)
	b.press(kb.Escape)
	b.shows(".acts", "1 letter")
	b.press("/")
	if focused() != "text" {
		t.Errorf("/ leads to %s", focused())
	}
	if l := s.Letter(t, ids[1]); l.State != "replayed" {
		t.Errorf("the letter is %s", l.State)
	}
}

func TestThePageIsOfUseOnASmallScreen(t *testing.T) {
	s := raise(t)
	id := s.letters(simulator.Email, 1)[0]
	b := browse(t, s.Sidecar, "")
	b.do(viewport(390, 800))
	for key, word := range map[string]string{"1": "Adapters", "2": "Exchanges", "3": "Letters", "4": "Configuration"} {
		b.press(key)
		b.shows("main", word)
		if over := value[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
			t.Errorf("%s is %d pixels wider than the screen", word, over)
		}
	}
	b.press("3")
	b.click(`.letters tr[data-key="` + id + `"] [data-row]`)
	b.shows(".detail", "Why it failed")
	b.accessible("a letter on a small screen")
}
