package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	binaryVariable = "E2E_BINARY"
	commandPackage = "github.com/fsm-integrations/sidecar/cmd/sidecar"
)

// Main builds the binary into a temporary folder, unless E2E_BINARY names one, and runs the tests. It returns the
// exit code for TestMain.
func Main(m *testing.M) int {
	if os.Getenv(binaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "sidecar-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "sidecar")
	if out, err := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", binary, commandPackage).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: the binary does not build: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}

func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(binaryVariable)
	if path == "" {
		t.Fatalf("there is no binary to test: the package needs a TestMain that calls e2e.Main")
	}
	return path
}
