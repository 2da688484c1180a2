package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newSecretsCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "secrets",
		Short: "Change the secrets of external systems (not available yet)",
	}, newRotateCommand())
}

func newRotateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "rotate ADAPTER",
		Short:   "Put a new key, read from stdin, into Vault (not available yet)",
		Example: "  sidecar secrets rotate sales-system --tenant acme < new.key",
		Args:    needs("ADAPTER"),
		RunE: func(*cobra.Command, []string) error {
			return errors.New("secrets rotate is not available yet; nothing was changed")
		},
	}
	c.Flags().String("tenant", "", "`TENANT` whose key it is")
	return c
}
