//go:build e2e

package servers

import (
	"os"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }
