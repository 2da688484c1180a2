package vault

import (
	"errors"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/egress"
)

// Whoever owns the zone of Vault's name could point it at a cloud's metadata, which answers anybody.
func TestVaultIsNotDialledAtAMetadataService(t *testing.T) {
	conn, err := newTransport(Config{Timeout: time.Second}).DialContext(t.Context(), "tcp", "169.254.169.254:80")
	if !errors.Is(err, egress.ErrDenied) {
		t.Errorf("%v, %v", conn, err)
	}
}
