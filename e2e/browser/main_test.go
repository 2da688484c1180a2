//go:build e2e

package browser

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

var update = flag.Bool("update", false, "write the screenshots in docs/page anew")

// packageDir is where the tests are, also after one of them has gone elsewhere.
var packageDir, _ = os.Getwd()

// TestMain builds the binary in the module that it belongs to.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if os.Getenv("E2E_BINARY") == "" {
		dir, err := os.MkdirTemp("", "sidecar-browser-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary := filepath.Join(dir, "sidecar")
		build := exec.Command("go", "build", "-o", binary, "./cmd/sidecar")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: the binary does not build: %v\n%s", err, out)
			return 1
		}
		if err := os.Setenv("E2E_BINARY", binary); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	return e2e.Main(m)
}
