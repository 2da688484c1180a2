package main

import (
	"context"
	"fmt"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/secret/vault"
)

// openVault begins to use a Vault. One that does not answer is no reason not to serve: the adapters that need none of its
// secrets can.
func (p *process) openVault(c *config.Vault) error {
	settings, err := vaultConfig(c)
	if err != nil {
		return err
	}
	settings.Login = vault.Login{Method: c.Auth, Mount: c.AuthMount, Role: c.Role,
		JWT: p.later(c.JWT), RoleID: p.later(c.RoleID), SecretID: p.later(c.SecretID), Token: p.later(c.TokenFile)}
	settings.Changed, settings.Observe = p.vaultChanged, p.metrics.Vault(vault.Results())
	if p.vault, err = vault.Open(settings); err != nil {
		return err
	}
	p.secrets.UseVault(p.vault.Resolve)
	return nil
}

// vaultConfig is what the configuration says of Vault, but for the login.
func vaultConfig(c *config.Vault) (vault.Config, error) {
	out := vault.Config{Address: c.Address, Namespace: c.Namespace, Mount: c.Mount, TTL: c.TTL.D(), RefreshAt: float64(c.RefreshAt),
		StaleFor: c.StaleFor.D(), Timeout: c.Timeout.D()}
	var err error
	if out.TLS, err = c.TLS.Client(); err != nil {
		return out, fmt.Errorf("vault.%w", err)
	}
	return out, nil
}

// later reads a secret when it is needed.
func (p *process) later(ref secret.Ref) func() (secret.Value, error) {
	return func() (secret.Value, error) { return p.secrets.Resolve(context.Background(), ref) }
}

// vaultChanged logs what on-call wants to read in order.
func (p *process) vaultChanged(up bool, why string) {
	if up {
		p.log.Info("vault answers again: secrets are followed")
		return
	}
	p.log.Warn("vault gives no secrets: those that are known stay in use for vault.stale_for", "error", why)
}
