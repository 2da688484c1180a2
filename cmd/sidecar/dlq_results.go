package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/fsm-integrations/sidecar/proxy"
)

// maxListed is up to how many letters a replay lists one by one; beyond it only those that did not arrive.
const maxListed = 50

// outcomes is the order of the summary.
func outcomes() []string {
	return []string{"replayed", "resolved", "would-send", "would-resolve", "discarded", "would-discard", "refused", "failed"}
}

// unwell reports whether somebody must still look at the letter.
func unwell(r proxy.ReplayResult) bool { return r.Result == "refused" || r.Result == "failed" }

// finish prints what came of each letter and returns how the command ends; failure is why it did not get to all, dry
// tells that nothing was done.
func (a *app) finish(out format, results []proxy.ReplayResult, failure error, dry bool) error {
	if out.json() {
		if err := a.json(results); err != nil {
			return err
		}
	} else if len(results) > 0 || failure == nil {
		a.printResults(results, dry)
	}
	if failure == nil && slices.ContainsFunc(results, unwell) {
		return errNotWell
	}
	return failure
}

func (a *app) printResults(results []proxy.ReplayResult, dry bool) {
	if len(results) == 0 {
		a.printf("no letters match\n")
		return
	}
	t := newTable("ID", "RESULT", "STATUS", "ATTEMPTS", "REASON")
	many := countOf(results, unwell) > maxListed
	for _, r := range results {
		if len(results) <= maxListed || unwell(r) && !many {
			t.AppendRow(table.Row{dash(r.ID), dash(r.Result), number(r.Status), number(r.Attempts), dash(r.Reason)})
		}
	}
	if t.Length() > 0 {
		a.printf("%s\n\n", t.Render())
	}
	a.printf("%s: %s\n", plural(len(results), "letter"), tally(results))
	if dry && countOf(results, unwell) > 0 || many {
		a.printf("\n%s\n", reasons(results))
	}
}

func countOf(results []proxy.ReplayResult, which func(proxy.ReplayResult) bool) (n int) {
	for _, r := range results {
		if which(r) {
			n++
		}
	}
	return n
}

// reasons is a table of why letters are left, the most frequent first.
func reasons(results []proxy.ReplayResult) string {
	type group struct{ result, reason string }
	count := map[group]int{}
	for _, r := range results {
		if unwell(r) {
			count[group{r.Result, r.Reason}]++
		}
	}
	t := newTable("LETTERS", "RESULT", "REASON")
	for _, g := range slices.SortedFunc(maps.Keys(count), func(a, b group) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(a.result, b.result), cmp.Compare(a.reason, b.reason))
	}) {
		t.AppendRow(table.Row{count[g], dash(g.result), dash(g.reason)})
	}
	return t.Render()
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// tally counts the results.
func tally(results []proxy.ReplayResult) string {
	count := make(map[string]int)
	for _, r := range results {
		count[r.Result]++
	}
	words := outcomes()
	for result := range count {
		if !slices.Contains(words, result) {
			words = append(words, result)
		}
	}
	var parts []string
	for _, word := range words {
		if n := count[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, printable(word)))
		}
	}
	return strings.Join(parts, ", ")
}
