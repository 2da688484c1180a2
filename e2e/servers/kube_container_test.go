//go:build e2e

package servers

import "testing"

func renderedContainerRuns(t *testing.T, c *cluster) {}
