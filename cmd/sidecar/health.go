package main

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/admin"
)

func newHealthCommand(a *app) *cobra.Command {
	var probes string
	c := &cobra.Command{
		Use:   "health",
		Short: "Exit 0 when a running sidecar is ready",
		Long: `Asks /readyz of the probes listener, for an image that has no other tool to ask with.
Exits 0 when the sidecar serves, 1 when it answers but is not ready or drains, 3 when nothing answers.`,
		Example: `  sidecar health
  sidecar health --probes :9902`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			address := cmp.Or(probes, a.getenv("SIDECAR_PROBES"), defaultProbes)
			if _, err := admin.Address(address); err != nil {
				return usagef(cmd, "--probes or SIDECAR_PROBES: %s", err)
			}
			ready, err := admin.Ready(cmd.Context(), address, "--probes or SIDECAR_PROBES names another")
			switch {
			case err != nil:
				return err
			case !ready:
				return errors.New("not ready")
			}
			a.printf("ready\n")
			return nil
		},
	}
	c.Flags().StringVar(&probes, "probes", "", "`ADDR` of the sidecar's probes listener (default SIDECAR_PROBES, else "+defaultProbes+")")
	return c
}
