package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sidecar",
		Short: "Carries an application's calls to external systems and keeps what could not be delivered",
		Long: `The integration sidecar stands between an application and the external systems it calls: it adds credentials,
signatures and idempotency keys, retries what may be retried, limits and breaks circuits, and keeps a letter of every
write that finally failed.

Exit codes: 0 done, 1 the thing asked about is not well, 2 usage, 3 the sidecar could not be reached.`,
		Example: `  sidecar demo                                  see all of it, with no other server
  sidecar validate --config config.yaml         every fault of a configuration
  sidecar run --config config.yaml              serve
  sidecar status                                how a running sidecar is
  sidecar dlq list --adapter sales-system       what could not be delivered`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              known,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(newRunCommand(a), newValidateCommand(a), newExplainCommand(a), newDemoCommand(a),
		newStatusCommand(a), newHealthCommand(a), newDLQCommand(a), newBreakerCommand(a), newLogLevelCommand(a),
		newSecretsCommand(a), newInjectCommand(a), newVersionCommand(a))
	onceEach(root)
	return root
}

// group makes a command of commands; named alone it is a usage error, so that a script notices.
func group(c *cobra.Command, children ...*cobra.Command) *cobra.Command {
	names := make([]string, len(children))
	for i, child := range children {
		names[i] = child.Name()
	}
	c.Args = known
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return usagef(cmd, "%s needs a command: %s", cmd.Name(), strings.Join(names, ", "))
	}
	c.AddCommand(children...)
	return c
}

// known refuses what is not the name of a command.
func known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := "unknown command " + quoted(args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef(cmd, "%s", message)
}

// needs refuses any but the arguments named.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef(cmd, "%s is missing", names[len(args)])
		case len(args) > len(names):
			return usagef(cmd, "unexpected argument %s", quoted(args[len(names)]))
		}
		return nil
	}
}
