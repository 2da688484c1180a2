package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	sidecar "github.com/fsm-integrations/sidecar"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

func noEnv(string) string { return "" }

func TestDemoShowsAllOfItAndSucceeds(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := Main([]string{"demo"}, strings.NewReader(""), &out, &errs, noEnv); code != exitDone {
		t.Fatalf("exit code %d\n%s%s", code, &out, &errs)
	}
	text := out.String()
	for _, c := range chapters() {
		if strings.Count(text, c.title) != 2 {
			t.Errorf("%q is not told and summed up", c.title)
		}
	}
	if strings.ContainsAny(text, "✗\x1b") || errs.Len() > 0 {
		t.Errorf("a failure, colours where no terminal is, or %q on stderr:\n%s", &errs, text)
	}
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(line) > 101 && !strings.Contains(line, invoked()) {
			t.Errorf("too wide: %s", line)
		}
	}
	for _, s := range demoSecrets() {
		if strings.Contains(text, s.value) {
			t.Errorf("%s is shown", s.file)
		}
	}
}

// failures are the chapters that the summary says have failed.
func failures(text string) []string {
	var titles []string
	for _, m := range regexp.MustCompile(`(?m)^    ✗ +\d+  (.*?)  +\d+ of`).FindAllStringSubmatch(text, -1) {
		titles = append(titles, m[1])
	}
	return titles
}

func TestDemoFailsWhenAProviderTakesAnOrderTwice(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{stdout: &out, stderr: io.Discard, getenv: noEnv}
	d := &demo{app: a, systems: demoSystems()}
	sales := d.systems[simulator.Sales]
	sales.IgnoreKeys = true
	d.systems[simulator.Sales] = sales
	code := a.report(d.run(t.Context()))
	got := failures(out.String())
	if code != exitNotWell || !slices.Contains(got, "A letter: kept, read, replayed") || !slices.Contains(got, "The whole day adds up") {
		t.Errorf("exit code %d, failed chapters %q", code, got)
	}
	for _, want := range []string{"✗ exactly one order taken, although it was sent five times — it did not happen: it was 2", "checks did not hold"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said", want)
		}
	}
}

// interrupter interrupts when a text was written.
type interrupter struct {
	bytes.Buffer
	at   string
	stop context.CancelFunc
}

func (i *interrupter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.at) {
		i.stop()
	}
	return i.Buffer.Write(p)
}

func TestInterruptedDemoEndsAtOnceAndSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &interrupter{at: chapters()[1].title, stop: cancel}
	d := &demo{app: &app{stdout: out, getenv: noEnv}, systems: demoSystems()}
	if err := d.run(ctx); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v", err)
	}
	if text := out.String(); strings.Contains(text, "✗") || !strings.HasSuffix(text, out.at+"\n") {
		t.Errorf("told after the interrupt:\n%s", text)
	}
}

func TestDemoLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	g, err := openPlayground(sidecar.ExampleConfig, demoSystems(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(g.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", g.dir, err)
	}
}

func TestDemoRunsTheExampleWithFewChanges(t *testing.T) {
	t.Parallel()
	world, err := simulator.Start(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = world.Close() }()
	text, told, err := apply(string(sidecar.ExampleConfig), demoEdits("/a folder", world))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := config.Parse("demo.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Warnings) > 0 {
		t.Errorf("warnings %v", doc.Warnings)
	}
	if len(told) != 3 || told[0] != "sales-system: first retry after 100ms instead of 1s" {
		t.Errorf("told %q", told)
	}
	if strings.Count(text, "\n") != strings.Count(string(sidecar.ExampleConfig), "\n") || strings.Contains(text, "upstream: https") {
		t.Errorf("not the example line by line:\n%s", text)
	}
}

func TestEditThatFitsNothingOrTwoPlacesIsRefused(t *testing.T) {
	t.Parallel()
	const text = "a:\n  b: { x: 1, y: 2 } # x: 9\n  # x: 3\n  c: 1s   # why\n  d: { c: 2s }\ne:\n  x: 4\n"
	for _, c := range []struct {
		edit edit
		want string // of the text, or of the error
	}{
		{edit{block: "a", key: "x", value: "7"}, "{ x: 7, y: 2 } # x: 9"},
		{edit{block: "a", key: "y", value: "7"}, "{ x: 1, y: 7 } # x: 9"},
		{edit{block: "e", key: "x", value: "7"}, "e:\n  x: 7\n"},
		{edit{block: "e", key: "x"}, "e:\n  # x: 4\n"},
		{edit{block: "a", key: "c", value: "7"}, "a.c is in the configuration 2 times, not once"},
		{edit{block: "a", key: "z", value: "7"}, "a.z is in the configuration 0 times, not once"},
		{edit{block: "a.z", key: "x", value: "7"}, "no block a.z"},
	} {
		got, _, err := apply(text, []edit{c.edit})
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q in it", c.edit, got, c.want)
		}
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	t.Parallel()
	if newTeller(t.Context(), &app{stdout: io.Discard, getenv: noEnv}).colour {
		t.Error("colours without a terminal")
	}
	var out bytes.Buffer
	(&teller{out: &out, colour: true, while: t.Context()}).verdict(true, "done", "")
	if got := out.String(); got != "    \x1b[32m✓ done\x1b[0m\n" {
		t.Errorf("%q", got)
	}
}
