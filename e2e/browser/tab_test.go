//go:build e2e

package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fsm-integrations/sidecar/e2e"
)

// tab is a page of a browser that its reader looks at.
type tab struct {
	t        *testing.T
	ctx      context.Context
	here     string // the folder of this package
	mu       sync.Mutex
	mistakes []string // what the console told
	forgiven bool     // the console may tell of failed requests: the test makes them fail
}

// browse starts a browser and opens the sidecar's page. A script error, and whatever else the console complains of, fails
// the test.
func browse(t *testing.T, s *e2e.Sidecar, fragment string) *tab {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Fatal("chromium is not installed; e2e/setup.sh installs what these tests need")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.WindowSize(1440, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	b := &tab{t: t, ctx: ctx, here: packageDir}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1440, 900)); err != nil { // starts the browser
		t.Fatal(err)
	}
	listening, done := chromedp.Console(ctx), make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range listening {
			if err != nil {
				return
			}
			b.hear(m)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		b.judge()
	})
	b.do(chromedp.Navigate("http://" + s.Admin + "/" + fragment))
	return b
}

func (b *tab) hear(m chromedp.ConsoleMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if text := m.String(); !b.forgiven || m.IsException() || !strings.Contains(text, "Failed to load resource") && !strings.Contains(text, "net::ERR_") {
		b.mistakes = append(b.mistakes, text)
	}
}

func (b *tab) judge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.mistakes {
		b.t.Errorf("the console told: %s", m)
	}
}

// forgive lets requests fail from here on.
func (b *tab) forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgiven = true
}

const patience = 30 * time.Second

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v\nthe page shows: %s", err, b.text("main"))
	}
}

// value evaluates JavaScript into a value.
func value[T any](b *tab, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.300s: %v", script, err)
	}
	return v
}

// text is what an element shows.
func (b *tab) text(selector string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("(document.querySelector(%q) || {}).innerText || ''", selector)))
	return text
}

// shows waits until an element shows all of the words, as its reader would.
func (b *tab) shows(selector string, words ...string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		text, missing := b.text(selector), ""
		for _, w := range words {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s does not show %q but:\n%s", selector, missing, text)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// until waits for a JavaScript expression to hold.
func (b *tab) until(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !value[bool](b, "Boolean("+expression+")") {
		if time.Now().After(deadline) {
			b.t.Fatalf("it never came true that %s; the page shows:\n%s", expression, b.text("body"))
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%q)", selector))
	b.do(chromedp.WaitEnabled(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%q)", selector))
	b.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void]("document.activeElement.select()"), chromedp.KeyEvent(kb.Delete))
	b.write(text)
}

// write types a text where the focus is.
func (b *tab) write(text string) {
	b.t.Helper()
	for _, r := range text {
		b.press(string(r))
	}
}

// choose picks an option of a select by its value, as its reader does.
func (b *tab) choose(selector, option string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%q)", selector))
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("(el => { el.value = %q; el.dispatchEvent(new Event('change', {bubbles: true})) })(document.querySelector(%q))", option, selector)))
}

// press presses keys one after the other, each a character or one of kb. The browser makes the character of the key: one
// that the page takes for itself types nothing.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		if r := []rune(k); len(r) != 1 || r[0] < ' ' || r[0] > '~' {
			b.do(chromedp.KeyEvent(k))
			continue
		}
		b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: k, Text: k, UnmodifiedText: k}); err != nil {
				return err
			}
			_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: k})
			return err
		}))
	}
}

// scheme sets what the reader's system prefers.
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
		return err
	}))
}

// shoot writes a screenshot into docs/page, with -update and in one of the wanted colours only.
func (b *tab) shoot(scheme, view string, wanted ...string) {
	b.t.Helper()
	if !*update || !slices.Contains(wanted, scheme) {
		return
	}
	b.do(chromedp.Evaluate[chromedp.Void]("document.activeElement.blur(), scrollTo(0, 0)"))
	image, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	dir := filepath.Join(b.here, "..", "..", "docs", "page")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, view+"-"+scheme+".png"), image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// violation is something that axe-core objects to.
type violation struct {
	ID, Help string
	Nodes    []struct{ HTML, FailureSummary string }
}

// violations lets axe-core look at what is shown.
func (b *tab) violations() []violation {
	b.t.Helper()
	source, err := os.ReadFile(filepath.Join(b.here, "..", ".cache", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		b.t.Fatalf("axe-core is not there; e2e/setup.sh fetches it: %v", err)
	}
	b.do(chromedp.Evaluate[chromedp.Void](string(source) + "; 0"))
	return value[[]violation](b, "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
}

// accessible fails the test for each thing that axe-core objects to.
func (b *tab) accessible(where string) {
	b.t.Helper()
	for _, v := range b.violations() {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s: %s\n%s\n%s", where, v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

func reload() chromedp.Action[chromedp.Void] { return chromedp.Reload() }

func viewport(width, height int64) chromedp.Action[chromedp.Void] {
	return chromedp.EmulateViewport(width, height)
}
