package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/proxy"
)

// replay is one run of dlq replay.
type replay struct {
	app       *app
	door      *door
	who       author
	selection selection
	out       format
	perSecond float64
	options   proxy.ReplayOptions
	newRun    string
	done      int // letters that were tried in the run before
}

func newReplayCommand(a *app, d *door) *cobra.Command {
	r := &replay{app: a, door: d}
	c := &cobra.Command{
		Use:   "replay [ID...]",
		Short: "Send letters again through the whole chain, oldest first",
		Long: `Sends letters again one after the other, chosen by flags oldest first, or named in the order they are named.
Each passes the whole chain: original key, fresh signature, the limits and the breaker of now. A letter is refused
when the provider may have forgotten its key, or when its outcome is unknown and the provider does not honour keys;
--force sends it all the same, and it may then take effect twice. A letter that another sidecar is replaying, or has
replayed, is not sent.

Letters chosen by flags are tried once in a run, whatever comes of it. A new run says its name on stderr before the first
letter is sent; --new-run gives it one of yours. A run that was stopped, by an interrupt or because the sidecar went away,
goes on with what is left by the same command with --run NAME, which has to be the name of a run that has tried a letter
here. What was refused only for the moment, by an open breaker for example, is left.

With --from the letters are read from the sink, where those of sidecars that are gone are found too, and taken over into
the spool of this sidecar before they are sent. They are named by their whole ids.

` + shortIDs + `

Exits 1 when any letter was refused or failed. An interrupt ends it after the letter being sent.`,
		Example: `  sidecar dlq replay 0198f0c2-7a35-7c11-9d3a-4be1c2a90d11
  sidecar dlq replay --adapter sales-system --since 2h --dry-run
  sidecar dlq replay --adapter sales-system --operation "POST /api/v2/orders/intake" --until 30m --rate 5
  sidecar dlq replay --from kafka --adapter sales-system --since 24h
  sidecar dlq replay --all --run run-20260131-093000-5f2c`,
		RunE: r.run,
	}
	r.selection.flags(c)
	r.selection.fromFlag(c)
	f := c.Flags()
	f.StringVar(&r.options.Run, "run", "", "go on with the run of this `NAME`: letters it has tried already are left out")
	f.StringVar(&r.newRun, "new-run", "", "begin a run of this `NAME` (default a new name)")
	f.BoolVar(&r.selection.all, "all", false, "every letter that waits for somebody")
	f.IntVar(&r.selection.limit, "limit", 0, "at most `N` letters; 0 for no bound")
	f.Float64Var(&r.perSecond, "rate", 0, "at most `N` letters a second; 0 for no bound")
	f.BoolVar(&r.options.DryRun, "dry-run", false, "only say what would be sent")
	f.BoolVar(&r.options.Force, "force", false, "send what would be refused; it may take effect twice")
	r.who.flags(c)
	r.out.flags(c)
	return c
}

func (r *replay) run(cmd *cobra.Command, args []string) error {
	if r.perSecond < 0 {
		return usagef(cmd, "--rate: %g is less than 0", r.perSecond)
	}
	client, err := r.door.client(cmd)
	if err != nil {
		return err
	}
	r.options.Who = r.who.name()
	if err := r.nameRun(cmd, client, args); err != nil {
		return err
	}
	ids, results, err := r.choose(cmd, client, args)
	if err != nil {
		return err
	}
	r.announce(len(ids))
	sent, failure := r.send(cmd.Context(), client, ids)
	results = append(results, sent...)
	ended := r.app.finish(r.out, results, failure, r.options.DryRun)
	if len(args) == 0 && (failure != nil || slices.ContainsFunc(results, func(r proxy.ReplayResult) bool { return r.Retryable })) {
		r.hint(r.done > 0 || slices.ContainsFunc(sent, func(r proxy.ReplayResult) bool { return !r.Retryable }))
	}
	return ended
}

// choose returns the ids of the letters to send. Of letters in a sink it also returns what came of those that are not to
// be sent.
func (r *replay) choose(cmd *cobra.Command, client *admin.Client, args []string) (ids []string, results []proxy.ReplayResult, err error) {
	s := &r.selection
	if len(args) == 0 {
		s.untried = r.options.Run
	}
	if s.from == "" {
		ids, err = s.choose(cmd, client, args, r.app.now())
		return ids, nil, err
	}
	if err := s.checkChoice(cmd, args); err != nil {
		return nil, nil, err
	}
	q, err := s.query(cmd, r.app.now())
	if err != nil {
		return nil, nil, err
	}
	q.Limit = s.limit
	found, err := client.Adopt(cmd.Context(), q, args, r.options)
	for _, l := range found.Letters {
		if l.Result == "adopted" || l.Result == "kept" {
			ids = append(ids, l.ID)
		} else {
			results = append(results, l)
		}
	}
	return ids, results, err
}

// send replays the letters one by one. An interrupt ends it between two letters, never within one: what was sent must
// also be answered for. It returns the results so far together with the reason why it did not come to the end.
func (r *replay) send(ctx context.Context, client *admin.Client, ids []string) ([]proxy.ReplayResult, error) {
	stopped, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(stopped, stop) // a second interrupt ends the program at once
	pace := rate.NewLimiter(rate.Inf, 1)
	if r.perSecond > 0 {
		pace.SetLimit(rate.Limit(r.perSecond))
	}
	bar := r.progress(len(ids))
	defer func() { _ = bar.Finish() }()
	results := make([]proxy.ReplayResult, 0, len(ids))
	for _, id := range ids {
		if err := pace.Wait(stopped); err != nil {
			return results, fmt.Errorf("interrupted: %d of %s not tried", len(ids)-len(results), plural(len(ids), "letter"))
		}
		result, err := client.Replay(ctx, id, r.options)
		if refusal, ok := errors.AsType[*admin.Problem](err); ok {
			result, err = proxy.ReplayResult{ID: id, Result: "failed", Reason: refusal.Detail}, nil
		}
		if err != nil {
			return results, err
		}
		results = append(results, result)
		_ = bar.Add(1)
	}
	return results, nil
}

// progress is shown to a person only, and on stderr, so that it never mixes with the results.
func (r *replay) progress(letters int) *progressbar.ProgressBar {
	return progressbar.NewOptions(letters,
		progressbar.OptionSetWriter(r.app.stderr),
		progressbar.OptionSetVisibility(letters > 1 && terminal(r.app.stderr)),
		progressbar.OptionSetDescription("replaying"),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish())
}
