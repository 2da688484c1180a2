package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/proxy"
)

// discard is one run of dlq discard.
type discard struct {
	app       *app
	door      *door
	who       author
	selection selection
	out       format
	yes       bool
	dryRun    bool
}

func newDiscardCommand(a *app, d *door) *cobra.Command {
	x := &discard{app: a, door: d}
	c := &cobra.Command{
		Use:   "discard [ID...]",
		Short: "Mark letters as not needed any more",
		Long: `Marks letters as not needed any more: they are neither sent nor counted as waiting, and stay on disk until their
retention ends. Choosing them by flags rather than by id needs --yes. ` + shortIDs,
		Example: `  sidecar dlq discard 0198f0c2-7a35-7c11-9d3a-4be1c2a90d11
  sidecar dlq discard --adapter sms-gateway --until 48h --dry-run
  sidecar dlq discard --adapter sms-gateway --until 48h --yes`,
		RunE: x.run,
	}
	x.selection.flags(c)
	f := c.Flags()
	f.BoolVar(&x.selection.all, "all", false, "every letter that waits for somebody")
	f.IntVar(&x.selection.limit, "limit", 0, "at most `N` letters; 0 for no bound")
	f.BoolVar(&x.yes, "yes", false, "discard letters chosen by flags")
	f.BoolVar(&x.dryRun, "dry-run", false, "only say what would be discarded")
	x.who.flags(c)
	x.out.flags(c)
	return c
}

func (x *discard) run(cmd *cobra.Command, args []string) error {
	if len(args) == 0 && x.selection.given(cmd) && !x.yes && !x.dryRun {
		return usagef(cmd, "letters chosen by flags are discarded only with --yes; --dry-run says which")
	}
	client, err := x.door.client(cmd)
	if err != nil {
		return err
	}
	ids, err := x.selection.choose(cmd, client, args, x.app.now())
	if err != nil {
		return err
	}
	results, failure := x.each(cmd.Context(), client, ids)
	return x.app.finish(x.out, results, failure, false)
}

func (x *discard) each(ctx context.Context, client *admin.Client, ids []string) ([]proxy.ReplayResult, error) {
	results := make([]proxy.ReplayResult, 0, len(ids))
	for _, id := range ids {
		result := proxy.ReplayResult{ID: id, Result: "would-discard"}
		if !x.dryRun {
			result.Result = "discarded"
			err := client.Discard(ctx, id, x.who.name())
			if refusal, ok := errors.AsType[*admin.Problem](err); ok {
				result, err = proxy.ReplayResult{ID: id, Result: "failed", Reason: refusal.Detail}, nil
			}
			if err != nil {
				return results, err
			}
		}
		results = append(results, result)
	}
	return results, nil
}
