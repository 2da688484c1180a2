package config

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
)

// Vault is the server behind vault: references.
type Vault struct {
	Address   string         `yaml:"address" required:"true" format:"url" doc:"URL of the server: https, or http on loopback."`
	Namespace string         `yaml:"namespace" doc:"Namespace of Vault Enterprise. Empty: none."`
	Mount     string         `yaml:"mount" default:"secret" pattern:"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$" doc:"Mount of the KV engine, version 2. vault:path#field is field of <mount>/data/<path>."`
	Auth      string         `yaml:"auth" default:"kubernetes" enum:"kubernetes,approle,token_file" doc:"How the sidecar logs in: with the pod's service account, as an AppRole, or with a token that somebody else keeps in a file."`
	AuthMount string         `yaml:"auth_mount" pattern:"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$" doc:"Mount of the auth method. Default: the method's own name."`
	Role      string         `yaml:"role" default:"sidecar" doc:"Role to log in as, of auth kubernetes."`
	JWT       secret.Ref     `yaml:"jwt" default:"file:/var/run/secrets/kubernetes.io/serviceaccount/token" doc:"Token of the service account, of auth kubernetes; read at each login."`
	RoleID    secret.Ref     `yaml:"role_id" doc:"Role ID, of auth approle, as env:NAME or file:/path; read at each login."`
	SecretID  secret.Ref     `yaml:"secret_id" doc:"Secret ID, of auth approle, as env:NAME or file:/path; read at each login."`
	TokenFile secret.Ref     `yaml:"token_file" doc:"Token, of auth token_file, as file:/path; followed when it changes."`
	TTL       units.Duration `yaml:"ttl" default:"5m" min:"1s" max:"24h" doc:"Longest that a secret is used without asking Vault again: a rotated one is in use everywhere by then."`
	RefreshAt units.Percent  `yaml:"refresh_at" default:"75%" min:"10%" max:"95%" doc:"Share of ttl after which a secret in use is asked for again in the background."`
	StaleFor  units.Duration `yaml:"stale_for" default:"1h" min:"0s" max:"168h" doc:"How much longer than ttl a secret is used while Vault cannot be reached or is sealed; then calls fail closed. What Vault denies or has deleted is never used beyond ttl."`
	Timeout   units.Duration `yaml:"timeout" default:"2s" min:"10ms" max:"30s" doc:"Longest that a call waits for Vault, login included."`
	TLS       *policy.TLS    `yaml:"tls" default:"off" doc:"Trust and identity towards Vault, when not the system's roots."`
}

// checkVault reports a server that no client should use, a login that lacks what it needs, and references that nothing
// resolves.
func (r *resolver) checkVault(doc *Document) {
	if c := doc.Vault; c != nil {
		r.checkVaultAddress(c.Address)
		r.checkLogin(c)
		if c.TLS != nil {
			c.TLS.Check(fileReport(func(message string) { r.vaultFault(message, "tls") }))
		}
		return
	}
	written := *r.written
	written.Adapters = nil
	reflect.ValueOf(&written.Defaults).Elem().SetZero() // looked at through the adapters that inherit them
	r.unresolvable(reflect.ValueOf(written), nil, "", func(path []string) *node { n, _ := r.root.nearest(path); return n })
	for _, a := range doc.Adapters {
		s := doc.scopes[a.Name]
		r.unresolvable(reflect.ValueOf(*a.Settings), nil, s.path, func(path []string) *node { return s.at(strings.Join(path, ".")) })
		for _, op := range a.Operations {
			s := doc.scopes[a.Name+" "+op.Name]
			r.unresolvable(reflect.ValueOf(*op.Settings), nil, s.path, func(path []string) *node { return s.at(strings.Join(path, ".")) })
		}
	}
}

func (r *resolver) checkVaultAddress(address string) {
	u, err := url.Parse(address)
	switch {
	case err != nil || address == "": // reported by its tags
	case u.RawQuery != "" || u.Fragment != "":
		r.vaultFault("holds a query or a fragment, which is never sent", "address")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		r.vaultFault("would send the token and every secret in clear; use https, or a Vault Proxy on loopback", "address")
	}
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// checkLogin reports what the way to log in lacks, and what is for another.
func (r *resolver) checkLogin(c *Vault) {
	for _, f := range []struct {
		key, auth string
		ref       secret.Ref
	}{{"jwt", "kubernetes", c.JWT}, {"role_id", "approle", c.RoleID}, {"secret_id", "approle", c.SecretID}, {"token_file", "token_file", c.TokenFile}} {
		written := r.root.get("vault").get(f.key) != nil
		switch {
		case f.auth == c.Auth && f.ref == "":
			r.vaultFault("is missing: auth "+c.Auth+" needs it", f.key)
		case f.auth != c.Auth && written:
			r.vaultFault("belongs to auth "+f.auth+", and auth is "+c.Auth, f.key)
		case f.ref.Scheme() == "vault":
			r.vaultFault("is needed to log in to Vault, so it cannot be kept there; write env:NAME or file:/path", f.key)
		case strings.Contains(string(f.ref), "{"):
			r.vaultFault("has a place for the tenant or adapter, and the login is for all of them", f.key)
		case f.key == "token_file" && f.ref != "" && f.ref.Scheme() != "file":
			r.vaultFault("is read from a file; write file:/path", f.key)
		}
	}
	if c.Auth == "kubernetes" && c.Role == "" {
		r.vaultFault("must not be empty", "role")
	}
}

// unresolvable reports references into Vault of a document that names none.
func (r *resolver) unresolvable(v reflect.Value, keys []string, prefix string, locate func(path []string) *node) {
	for _, f := range fieldsOf(v.Type()) {
		value, path := v.FieldByIndex(f.index), append(slices.Clone(keys), f.key)
		full := join(prefix, f.key)
		if value.Kind() == reflect.Pointer {
			if value.IsNil() {
				continue
			}
			value = value.Elem()
		}
		if ref, ok := value.Interface().(secret.Ref); ok && ref.Scheme() == "vault" && !r.faults.touches(full) {
			r.faults.add(locate(path), full, "refers to a secret in Vault, and the document has no vault block")
		}
		if shapeOf(f.typ) == shapeBlock {
			r.unresolvable(value, path, full, locate)
		}
	}
}

func (r *resolver) vaultFault(message, key string) { r.blockFault("vault", message, key) }
