package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newExplainCommand(_ *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain",
		Short: "(not available yet)",
		RunE:  func(*cobra.Command, []string) error { return errors.New("explain is not available yet") },
	}
}
