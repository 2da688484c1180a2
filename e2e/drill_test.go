package e2e

import (
	"path/filepath"
	"testing"
)

func TestTheDrillIsAsTheDocumentTellsIt(t *testing.T) {
	t.Parallel()
	d := NewDrill(t, filepath.Join("..", "docs", "drills", "slow-then-503.md"))
	d.Play()
}
