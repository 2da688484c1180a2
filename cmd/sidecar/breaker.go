package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/proxy"
)

func newBreakerCommand(a *app) *cobra.Command {
	d, who := &door{app: a}, new(author)
	c := group(&cobra.Command{
		Use:     "breaker",
		Short:   "Open, close or reset the circuit breaker of an adapter by hand",
		Example: "  sidecar breaker open erp-system",
	},
		newBreakerAction(a, d, who, proxy.BreakerOpen, "Stop every call to the adapter until closed or reset by hand"),
		newBreakerAction(a, d, who, proxy.BreakerClose, "Let calls through again"),
		newBreakerAction(a, d, who, proxy.BreakerReset, "Let calls through again and forget the failures counted so far"))
	d.flags(c)
	who.flags(c)
	return c
}

func newBreakerAction(a *app, d *door, who *author, action proxy.BreakerAction, short string) *cobra.Command {
	return &cobra.Command{
		Use:     string(action) + " ADAPTER",
		Short:   short,
		Example: "  sidecar breaker " + string(action) + " sales-system",
		Args:    needs("ADAPTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := d.client(cmd)
			if err != nil {
				return err
			}
			done, err := client.SetBreaker(cmd.Context(), args[0], action, who.name())
			if refusal, ok := errors.AsType[*admin.Problem](err); ok && refusal.Status == http.StatusNotFound {
				if names, known, failed := adapters(cmd.Context(), client, args[0]); failed == nil && !known {
					return noAdapter(cmd, args[0], names)
				}
			}
			if err != nil {
				return err
			}
			state := string(action)
			if done.Breaker != nil {
				state = breakerCell(*done.Breaker)
			}
			a.printf("%s: breaker %s\n", printable(args[0]), state)
			return nil
		},
	}
}
