package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newDemoCommand(_ *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "(not available yet)",
		RunE:  func(*cobra.Command, []string) error { return errors.New("demo is not available yet") },
	}
}
