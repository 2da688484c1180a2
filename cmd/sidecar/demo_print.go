package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// teller writes the story: titles, who saw what, and what was checked. Lines stay within 100 columns.
type teller struct {
	out     io.Writer
	colour  bool
	while   context.Context // once it ends nothing more is told: what fails then was interrupted
	speaker string          // of the line before, so that a name is written once
}

// The styles of a terminal (ECMA-48 SGR).
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

// newTeller writes colours only where a person looks, and not against their wish (no-color.org).
func newTeller(ctx context.Context, a *app) *teller {
	return &teller{out: a.stdout, while: ctx, colour: terminal(a.stdout) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"}
}

func (t *teller) paint(style, text string) string {
	if !t.colour || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (t *teller) line(format string, args ...any) {
	t.speaker = ""
	if t.while.Err() != nil {
		return
	}
	fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (t *teller) title(n int, text string) {
	t.line("\n%s", t.paint(bold, fmt.Sprintf("%2d  %s", n, text)))
}

func (t *teller) heading(text string) { t.line("\n%s", t.paint(bold, "    "+text)) }

// aside says what is going on, for whoever does not know the product yet.
func (t *teller) aside(format string, args ...any) {
	for text := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		t.line("    %s", t.paint(dim, text))
	}
}

// The speakers. Each has what it did or saw, and may have what came of it.
func (t *teller) app(did, got string)      { t.says(cyan, "application", did, got) }
func (t *teller) provider(saw, got string) { t.says(magenta, "provider", saw, got) }
func (t *teller) between(did, got string)  { t.says(yellow, "sidecar", did, got) }
func (t *teller) operator(did, got string) { t.says(yellow, "operator", did, got) }

func (t *teller) says(style, who, what, came string) {
	name := fmt.Sprintf("%-11s", who)
	if t.speaker == who {
		name = fmt.Sprintf("%-11s", "")
	}
	text := what
	if came != "" {
		text = fmt.Sprintf("%-32s → %s", what, came)
	}
	t.line("    %s  %s", t.paint(style, name), text)
	t.speaker = who
}

// verdict says whether what was promised happened and, when it did not, what did.
func (t *teller) verdict(ok bool, promised, happened string) {
	if ok {
		t.line("    %s", t.paint(green, "✓ "+promised))
		return
	}
	t.line("    %s", t.paint(red, "✗ "+promised+" — it did not happen: "+happened))
}

// short is the beginning of what is too long to compare by eye.
func short(s string) string {
	if len(s) > 10 {
		return s[:10] + "…"
	}
	return dash(s)
}
