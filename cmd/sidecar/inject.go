package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newInjectCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "inject -f FILE",
		Short:   "Print Kubernetes manifests with the sidecar in their pods (not available yet)",
		Example: "  sidecar inject -f deployment.yaml | kubectl apply -f -",
		Args:    needs(),
		RunE: func(*cobra.Command, []string) error {
			return errors.New("inject is not available yet")
		},
	}
	c.Flags().StringP("file", "f", "", "`FILE` of manifests, - for stdin")
	return c
}
