package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// Writer writes secrets with the identity of a person. The sidecars' own is meant to be able to read only.
type Writer struct {
	client *api.Client
	mount  string
}

// WriterConfig says where to write, and as whom. Trust and identity of the connection are those of Vault's own command
// line: VAULT_CACERT, VAULT_CLIENT_CERT and the like.
type WriterConfig struct {
	Address, Namespace, Mount string
	Token                     secret.Value
}

// NewWriter returns a writer. It asks nothing of Vault yet.
func NewWriter(c WriterConfig) (*Writer, error) {
	settings := api.DefaultConfig()
	if settings.Error != nil {
		return nil, fmt.Errorf("vault: the environment: %w", settings.Error)
	}
	settings.Address, settings.AgentAddress, settings.CheckRetry = c.Address, "", never
	const patience = 15 * time.Second
	settings.Timeout = patience
	client, err := api.NewClient(settings)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	client.ClearNamespace()
	if c.Namespace != "" {
		client.SetNamespace(c.Namespace)
	}
	client.SetToken(string(c.Token.Reveal()))
	return &Writer{client, c.Mount}, nil
}

// Written is what came of a Rotate.
type Written struct {
	Version int
	Same    bool // the field had this value already; nothing was written
}

// Rotate replaces one field of the secret at path and leaves its others as they are. When somebody else writes meanwhile
// nothing is changed.
func (w *Writer) Rotate(ctx context.Context, path, field string, value secret.Value) (Written, error) {
	kv, where := w.client.KVv2(w.mount), w.mount+"/data/"+path
	fields, version := map[string]any{}, 0
	switch now, err := kv.Get(ctx, path); {
	case errors.Is(err, api.ErrSecretNotFound):
	case err != nil:
		return Written{}, judge(err, "Vault denies reading "+where+"; your token needs read, create and update there")
	default:
		version = now.VersionMetadata.Version
		if now.Data != nil {
			fields = now.Data
		}
	}
	if fields[field] == string(value.Reveal()) {
		return Written{Version: version, Same: true}, nil
	}
	fields[field] = string(value.Reveal())
	done, err := kv.Put(ctx, path, fields, api.WithCheckAndSet(version))
	if answer, ok := errors.AsType[*api.ResponseError](err); ok && answer.StatusCode == http.StatusBadRequest &&
		strings.Contains(strings.Join(answer.Errors, " "), "check-and-set") {
		return Written{}, errors.New("somebody else has changed " + where + " meanwhile; nothing was written, run the command again")
	}
	if err != nil {
		return Written{}, judge(err, "Vault denies writing "+where+"; your token needs read, create and update there")
	}
	return Written{Version: done.VersionMetadata.Version}, nil
}
