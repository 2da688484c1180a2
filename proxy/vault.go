package proxy

import (
	"context"
	"slices"
	"time"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

// vaultStatus is how the Vault is that secrets come from; nil without one.
func (s *Server) vaultStatus() *VaultStatus {
	if s.deps.Vault == nil {
		return nil
	}
	now := s.deps.Vault.Status()
	out := &VaultStatus{Up: now.Up, Why: now.Why, Login: now.LoginAs, Secrets: now.Secrets, OldestSeconds: now.Oldest.Seconds(),
		Address: now.Address, Namespace: now.Namespace, Mount: now.Mount, TTL: now.TTL.String()}
	if !now.Since.IsZero() {
		out.Since = &now.Since
	}
	if !now.Expires.IsZero() {
		out.TokenExpires = &now.Expires
	}
	return out
}

// check never fails: an adapter that has no credentials says so for itself.
func (v *VaultStatus) check() HealthCheck {
	if !v.Up {
		return HealthCheck{Status: "warn", Message: "vault gives no secrets; those that are known stay in use for a while"}
	}
	return HealthCheck{Status: "pass"}
}

// StatusOf is what a configuration alone says of the status of a sidecar that runs it: the adapters' names and references,
// and where Vault is.
func StatusOf(doc *config.Document) Status {
	var out Status
	for _, a := range doc.Adapters {
		refs := a.Settings.Secrets()
		for _, o := range a.Operations {
			refs = append(refs, o.Settings.Secrets()...)
		}
		slices.Sort(refs)
		out.Adapters = append(out.Adapters, AdapterStatus{Name: a.Name, ID: a.ID, Version: a.Version, Secrets: slices.Compact(refs)})
	}
	if v := doc.Vault; v != nil {
		out.Vault = &VaultStatus{Address: v.Address, Namespace: v.Namespace, Mount: v.Mount, TTL: v.TTL.D().String()}
	}
	return out
}

// warmup bounds how long a new configuration's secrets are waited for, in the background.
const warmup = 30 * time.Second

// warnOfSecrets says at once what calls would otherwise find out one by one, and fetches what is far away before a call
// needs it. References that depend on the tenant are left out. Nobody waits for Vault here.
func (s *Server) warnOfSecrets(snapshot *Snapshot) {
	for _, a := range snapshot.ordered {
		for _, ref := range a.secrets() {
			filled, err := ref.Fill("", a.identity.Name)
			switch {
			case err != nil:
			case filled.Scheme() == "vault":
				s.warming.Go(func() { s.warnOfSecret(a, filled) })
			default:
				s.warnOfSecret(a, filled)
			}
		}
	}
}

func (s *Server) warnOfSecret(a *adapter, ref secret.Ref) {
	ctx, cancel := context.WithTimeout(s.base, warmup)
	defer cancel()
	if _, err := s.deps.Secrets.Resolve(ctx, ref); err != nil && s.base.Err() == nil {
		s.log().Warn("calls of this adapter will be refused: a credential cannot be read", "adapter_id", a.identity.ID, "error", err.Error())
	}
}

// secrets are the references that calls of an adapter resolve, each once.
func (a *adapter) secrets() []secret.Ref {
	refs := a.settings.Secrets()
	for _, o := range a.operations {
		refs = append(refs, o.settings.Secrets()...)
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}
