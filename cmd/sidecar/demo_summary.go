package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// introduce says what runs, and in what it differs from what the visitor would run.
func (s *story) introduce() {
	s.line("%s", s.paint(bold, "A day with the integration sidecar"))
	s.aside("One application, one sidecar, five simulated external systems; all in this process.\nThe sidecar runs config.example.yaml, except for addresses, where secrets are, and:")
	for _, t := range s.told {
		s.aside("  %s", t)
	}
}

// sum is the last chapter: the whole day must add up. It reports whether all chapters went well.
func (s *story) sum(ctx context.Context) bool {
	s.title(len(s.done)+1, "The whole day adds up")
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, chapterTime)
	defer cancel()
	x := &scene{story: s, ctx: ctx}
	x.totals()
	page, err := s.admin.Letters(ctx, admin.Query{Filter: dlq.Filter{States: []dlq.State{dlq.Dead, dlq.Forwarded}}})
	open := make([]string, len(page.Letters))
	for i, l := range page.Letters {
		open[i] = l.ID
	}
	x.check(err == nil && slices.Equal(open, s.letters), plural(len(s.letters), "letter")+" left open: the text of chapter 4, which a person has to look at",
		"%v are open, %v", open, err)
	s.done = append(s.done, told{"The whole day adds up", x.checks, x.failed, time.Since(began)})
	return !slices.ContainsFunc(s.done, func(t told) bool { return t.failed > 0 })
}

// totals shows what each system saw and did, and that it did nothing twice.
func (s *scene) totals() {
	t := newTable("    PROVIDER", "CALLS OF THE APP", "REQUESTS SEEN", "SIDE EFFECTS", "WANTED", "TWICE")
	wrong, all, requests, effects := 0, 0, 0, 0
	for _, system := range s.world.Systems() {
		n, calls, twice := system.Counts(), s.application.made(system.Name), 0
		for _, times := range n.PerID {
			twice += times - 1
		}
		if n.SideEffects != s.effects[system.Name] || twice > 0 {
			wrong++
		}
		t.AppendRow(table.Row{"    " + system.Name, calls, n.Requests, n.SideEffects, s.effects[system.Name], twice})
		all, requests, effects = all+calls, requests+n.Requests, effects+n.SideEffects
	}
	t.AppendRow(table.Row{"    all", all, requests, effects})
	s.line("%s", t.Render())
	s.aside("%d of the requests went straight to a provider, for comparison.", s.straight)
	s.check(wrong == 0, "every side effect that was wanted happened, and none happened twice", "%s went wrong", plural(wrong, "system"))
}

// conclude is the verdict on one screen.
func (s *story) conclude(well bool, took time.Duration) {
	checks, failed := 0, 0
	s.heading("In short")
	for i, t := range s.done {
		checks, failed = checks+t.checks, failed+t.failed
		mark, style := "✓", green
		if t.failed > 0 {
			mark, style = "✗", red
		}
		s.line("    %s %2d  %-48s %2d of %2d checks  %6s", s.paint(style, mark), i+1, t.title, t.checks-t.failed, t.checks, seconds(t.took))
	}
	if well {
		s.line("\n    %s", s.paint(bold+";"+green, fmt.Sprintf("All %d checks held, in %s.", checks, seconds(took))))
		return
	}
	s.line("\n    %s", s.paint(bold+";"+red, fmt.Sprintf("%d of %d checks did not hold, in %s. Run it with --verbose to see the sidecar's own log.", failed, checks, seconds(took))))
}

// next says where to go from here.
func (s *story) next() {
	s.heading("What to try next")
	for _, try := range [][2]string{
		{"demo --stay", "this, left running: call it, break it, look at it"},
		{"explain --config config.example.yaml POST /sales-system/api/v2/orders/intake", "what a call would meet, and why"},
		{"run --config FILE", "your own systems; begin with a copy of config.example.yaml"},
	} {
		s.line("    %s %s", invoked(), try[0])
		s.aside("    %s", try[1])
	}
}

// invoked is how the visitor called this program, so that commands can be copied as they are printed. What go run
// built is gone when it ends.
func invoked() string {
	if strings.Contains(filepath.ToSlash(os.Args[0]), "/go-build") {
		return "go run ./cmd/sidecar"
	}
	return os.Args[0]
}

// addresses says where everything is that was left running, and how to play with it.
func (s *story) addresses() {
	method, path, body := simulator.Sample(simulator.Sales, "SO-2001")
	sales, door := s.world.System(simulator.Sales), " --admin "+s.sidecar.adminAddr.String()
	s.heading("Everything is still running; Ctrl-C ends it")
	t := newTable()
	row := func(what, where string) { t.AppendRow(table.Row{"    " + what, where}) }
	row("application's side", s.base+"/<system>/<path>")
	row("status page", "http://"+s.sidecar.adminAddr.String()+"/")
	row("probes, metrics", "http://"+s.sidecar.probesAddr.String()+"/metrics")
	for _, system := range s.world.Systems() {
		row(system.Name, system.URL)
	}
	row("configuration", s.config+" (a change is loaded at once)")
	if s.log != nil {
		row("sidecar's log", s.log.Name())
	}
	row("letters and keys", filepath.Join(s.dir, "dlq"))
	s.line("%s", t.Render())
	s.heading("Order something; run it twice:")
	s.line("    curl -i -X %s %s/%s%s \\\n      -H 'Content-Type: application/json' -d '%s'", method, s.base, simulator.Sales, path, body)
	s.heading("Break the provider, order something else, look at its letter, repair it, replay:")
	s.line("    curl -X PUT %s/_control/faults -d '{\"default\":{\"kind\":\"status\",\"status\":503}}'", sales.URL)
	s.line("    curl -i -X %s %s/%s%s \\\n      -H 'Content-Type: application/json' -d '%s'", method, s.base, simulator.Sales, path, strings.Replace(body, "SO-2001", "SO-2002", 1))
	s.line("    %s dlq list%s", invoked(), door)
	s.line("    curl -X DELETE %s/_control/faults", sales.URL)
	s.line("    %s dlq replay --adapter %s%s", invoked(), simulator.Sales, door)
	s.heading("See how it stands:")
	s.line("    %s status%s", invoked(), door)
	s.line("    curl %s/_control/counts", sales.URL)
}
