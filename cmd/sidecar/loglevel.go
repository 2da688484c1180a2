package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

func newLogLevelCommand(a *app) *cobra.Command {
	d, who := &door{app: a}, new(author)
	lasting := 15 * time.Minute
	c := &cobra.Command{
		Use:   "log-level [LEVEL]",
		Short: "Show or change for a while what a running sidecar logs",
		Long: `Show the log level, or log from LEVEL on (debug, info, warn or error) for a while; configured goes back to the one of
the configuration at once. To change it for good, change telemetry.log_level: a running sidecar follows the file.`,
		Example: "  sidecar log-level debug --for 10m\n  sidecar log-level configured",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(cmd, "unexpected argument %s", quoted(args[1]))
			}
			client, err := d.client(cmd)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				state, err := client.LogLevel(cmd.Context())
				return a.tellLevel(state, err)
			}
			if words := append(admin.LogLevels(), "configured"); !slices.Contains(words, args[0]) {
				return usagef(cmd, "%s is no level: choose from %s", quoted(args[0]), strings.Join(words, ", "))
			}
			if lasting <= 0 || lasting > 24*time.Hour {
				return usagef(cmd, "--for must be more than 0 and at most 24h")
			}
			state, err := client.SetLogLevel(cmd.Context(), args[0], lasting, who.name())
			return a.tellLevel(state, err)
		},
	}
	c.Flags().DurationVar(&lasting, "for", lasting, "how `LONG` until the configured level is back")
	d.flags(c)
	who.flags(c)
	return c
}

func (a *app) tellLevel(s telemetry.LevelState, err error) error {
	if err != nil {
		return err
	}
	a.printf("log level %s", s.Level)
	if !s.Until.IsZero() {
		a.printf(" until %s, then %s", s.Until.UTC().Format(time.RFC3339), s.Configured)
	}
	a.printf("\n")
	return nil
}
