package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
)

// nameRun finds out which run the command is part of. Going on and beginning are told apart: a name with a typing error
// would begin a run that sends again what the one that was meant has tried.
func (r *replay) nameRun(cmd *cobra.Command, client *admin.Client, args []string) (err error) {
	onward, fresh := cmd.Flags().Changed("run"), cmd.Flags().Changed("new-run")
	if onward && fresh {
		return usagef(cmd, "--run goes on with a run, --new-run begins one: give one of them")
	}
	for flag, name := range map[string]string{"run": r.options.Run, "new-run": r.newRun} {
		if cmd.Flags().Changed(flag) && !validRun(name) {
			return usagef(cmd, "--%s: %q is not a name of 1 to 64 visible characters", flag, name)
		}
	}
	switch {
	case onward:
		r.done, err = r.tried(cmd.Context(), client, r.options.Run)
		if err == nil && r.done == 0 {
			err = fmt.Errorf("no letter was tried in a run named %s here, so there is nothing to go on with; without --run a new run begins, --new-run names it", r.options.Run)
		}
	case fresh:
		r.options.Run = r.newRun
		n, problem := r.tried(cmd.Context(), client, r.newRun)
		if err = problem; n > 0 {
			err = fmt.Errorf("there is a run named %s already, %s tried; --run %s goes on with it", r.newRun, plural(n, "letter"), r.newRun)
		}
	case len(args) == 0 && !r.options.DryRun:
		r.options.Run = newRun(r.app.now())
	}
	return err
}

// validRun reports whether the sidecar keeps a name as it is.
func validRun(name string) bool {
	n := len([]rune(name))
	return n > 0 && n <= 64 && name == strings.TrimSpace(name) && strings.IndexFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
}

// tried counts the letters that a run has tried. When this sidecar has none of them, the sink may: another sidecar
// began the run.
func (r *replay) tried(ctx context.Context, client *admin.Client, run string) (int, error) {
	q := admin.Query{Filter: dlq.Filter{Tried: run}}
	ids, err := collect(ctx, client, q, 0)
	if err != nil || len(ids) > 0 || r.selection.from == "" {
		return len(ids), err
	}
	q.From, q.Limit = r.selection.from, admin.MaxLimit
	page, err := client.Letters(ctx, q)
	return len(page.Letters), err
}

// newRun makes a name that no other run has.
func newRun(now time.Time) string {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	return "run-" + now.UTC().Format("20060102-150405-") + hex.EncodeToString(random[:])
}

// announce says which run goes on or begins, before anything is sent.
func (r *replay) announce(letters int) {
	switch {
	case r.done > 0:
		again := ""
		if letters == 0 {
			again = "; what failed in it goes into another run (without --run)"
		}
		fmt.Fprintf(r.app.stderr, "sidecar: continuing run %s: %d done, %d to go%s\n", r.options.Run, r.done, letters, again)
	case r.options.Run != "" && letters > 0 && !r.options.DryRun:
		fmt.Fprintf(r.app.stderr, "sidecar: new run %s: %s\n", r.options.Run, plural(letters, "letter"))
	}
}

// hint says how to go on.
func (r *replay) hint(tried bool) {
	switch {
	case r.options.Run == "" || r.options.DryRun:
	case tried && r.newRun != "":
		fmt.Fprintf(r.app.stderr, "sidecar: the same command with --run %s in place of --new-run goes on with what is left\n", r.options.Run)
	case tried:
		fmt.Fprintf(r.app.stderr, "sidecar: the same command with --run %s goes on with what is left\n", r.options.Run)
	default:
		fmt.Fprintln(r.app.stderr, "sidecar: no letter was tried yet; the same command begins again")
	}
}
