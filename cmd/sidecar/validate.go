package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/config"
)

func newValidateCommand(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "validate --config FILE",
		Short: "Print every fault of a configuration, with its line",
		Long: `Prints every fault as file:line:column: path: what is wrong, what is allowed, and exits 1 if there is any.
Warnings are what is allowed and doubtful. Opens no socket and reads no secret.`,
		Example: "  sidecar validate --config config.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if file == "" && len(args) == 1 { // what everybody tries first
				return usagef(cmd, "the file goes behind a flag: --config %s", printable(args[0]))
			}
			return needs()(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef(cmd, "--config is missing")
			}
			return a.validate(file)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "`FILE` to read")
	return c
}

func (a *app) validate(file string) error {
	doc, err := config.Load(file)
	if err != nil {
		faults, ok := errors.AsType[config.Faults](err)
		if !ok || len(faults) == 1 && faults[0].Line == 0 { // the file as a whole: it cannot be read
			return err
		}
		for _, f := range faults {
			a.printf("%s\n", page(f.Error()))
		}
		return fmt.Errorf("%s is not valid: %s", file, plural(len(faults), "fault"))
	}
	for _, w := range doc.Warnings {
		w.Message = "warning: " + w.Message
		a.printf("%s\n", page(w.Error()))
	}
	a.printf("%s: valid: %s\n", printable(file), plural(len(doc.Adapters), "adapter"))
	return nil
}
