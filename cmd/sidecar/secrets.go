package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/secret/vault"
	"github.com/fsm-integrations/sidecar/proxy"
)

func newSecretsCommand(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:     "secrets",
		Short:   "Change the secrets of external systems",
		Example: "  sidecar secrets rotate sales-system --tenant acme < new.key",
	}, newRotateCommand(a))
}

// rotation is what the flags of secrets rotate say.
type rotation struct {
	app                    *app
	door                   *door
	config, tenant, chosen string
}

func newRotateCommand(a *app) *cobra.Command {
	r := &rotation{app: a, door: &door{app: a}}
	c := &cobra.Command{
		Use:   "rotate ADAPTER",
		Short: "Put a new key, read from stdin, into Vault",
		Long: `Puts a new key into Vault, at the place that the adapter's vault: reference names. Other fields of that secret stay as
they are. Every sidecar uses the new key within vault.ttl, without a restart; keep the old one valid until then.

The key is read from stdin, never from an argument; a terminal does not show it. It is written with your own identity,
VAULT_TOKEN or ~/.vault-token, not with that of the sidecars, which need to read only. VAULT_ADDR, VAULT_NAMESPACE and
VAULT_CACERT say how to reach Vault from here, when that differs from the sidecars' way.

The references are those of a running sidecar, or of --config FILE.`,
		Example: `  sidecar secrets rotate sales-system --tenant acme < new.key
  sidecar secrets rotate sales-system --config config.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 { // not repeated: it may be the key
				return usagef(cmd, "the key is read from stdin, never from an argument")
			}
			return needs("ADAPTER")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	c.Flags().StringVar(&r.tenant, "tenant", "", "`TENANT` whose key it is")
	c.Flags().StringVarP(&r.config, "config", "c", "", "configuration `FILE` to take the reference from, instead of a running sidecar")
	c.Flags().StringVar(&r.chosen, "secret", "", "`REF` to rotate, when the adapter has several in Vault")
	r.door.flags(c)
	return c
}

func (r *rotation) run(cmd *cobra.Command, name string) error {
	adapter, server, err := r.find(cmd, name)
	if err != nil {
		return err
	}
	ref, err := r.choose(cmd, adapter)
	if err != nil {
		return err
	}
	token, err := r.app.vaultToken()
	if err != nil {
		return err
	}
	writer, err := vault.NewWriter(vault.WriterConfig{Address: cmp.Or(r.app.getenv("VAULT_ADDR"), server.Address),
		Namespace: cmp.Or(r.app.getenv("VAULT_NAMESPACE"), server.Namespace), Mount: server.Mount, Token: token})
	if err != nil {
		return err
	}
	key, err := r.app.readKey()
	if err != nil {
		return err
	}
	path, field := ref.Vault()
	done, err := writer.Rotate(cmd.Context(), path, field, key)
	if err != nil {
		return err
	}
	at := fmt.Sprintf("%s/data/%s, field %s", server.Mount, path, field)
	if done.Same {
		r.app.printf("%s holds this key already, in version %d; nothing was written\n", at, done.Version)
		return nil
	}
	r.app.printf("%s: version %d written\n", at, done.Version)
	r.app.printf("every sidecar uses it by %s (vault.ttl is %s); keep the old key valid until then\n", stamp(r.app.now().Add(server.ttl)), server.ttl)
	return nil
}

// vaultServer is the Vault of the sidecars, as far as a person needs to know it.
type vaultServer struct {
	Address, Namespace, Mount string
	ttl                       time.Duration
}

// find returns the adapter with its references, and the Vault they point into.
func (r *rotation) find(cmd *cobra.Command, name string) (proxy.AdapterStatus, vaultServer, error) {
	status, err := r.status(cmd)
	if err != nil {
		return proxy.AdapterStatus{}, vaultServer{}, err
	}
	names := make([]string, len(status.Adapters))
	for i, a := range status.Adapters {
		names[i] = printable(a.Name)
	}
	i := slices.IndexFunc(status.Adapters, func(a proxy.AdapterStatus) bool { return a.Name == name })
	if i < 0 {
		i = slices.IndexFunc(status.Adapters, func(a proxy.AdapterStatus) bool { return a.ID == name })
	}
	switch {
	case i < 0:
		return proxy.AdapterStatus{}, vaultServer{}, noAdapter(cmd, name, names)
	case status.Vault == nil:
		return proxy.AdapterStatus{}, vaultServer{}, fmt.Errorf("the configuration has no vault block; the secrets of %s are not kept in Vault", printable(name))
	}
	ttl, err := time.ParseDuration(status.Vault.TTL)
	return status.Adapters[i], vaultServer{status.Vault.Address, status.Vault.Namespace, status.Vault.Mount, ttl}, err
}

// status asks a running sidecar, or reads from a configuration what it would say.
func (r *rotation) status(cmd *cobra.Command) (proxy.Status, error) {
	if r.config == "" {
		client, err := r.door.client(cmd)
		if err != nil {
			return proxy.Status{}, err
		}
		return client.Status(cmd.Context())
	}
	doc, err := config.Load(r.config)
	if err != nil {
		return proxy.Status{}, err
	}
	return proxy.StatusOf(doc), nil
}

// choose picks the reference to rotate, filled in.
func (r *rotation) choose(cmd *cobra.Command, adapter proxy.AdapterStatus) (secret.Ref, error) {
	var refs []string
	for _, ref := range adapter.Secrets {
		if ref.Scheme() == "vault" && (r.chosen == "" || r.chosen == string(ref)) {
			refs = append(refs, printable(string(ref)))
		}
	}
	switch {
	case len(refs) == 0 && r.chosen != "":
		return "", usagef(cmd, "--secret: adapter %s has no reference %s", printable(adapter.Name), printable(r.chosen))
	case len(refs) == 0:
		return "", fmt.Errorf("adapter %s keeps no secret in Vault", printable(adapter.Name))
	case len(refs) > 1:
		return "", usagef(cmd, "adapter %s keeps several secrets in Vault; name one with --secret: %s", printable(adapter.Name), strings.Join(refs, ", "))
	}
	ref := secret.Ref(refs[0])
	switch depends := strings.Contains(string(ref), "{tenant}"); {
	case depends && r.tenant == "":
		return "", usagef(cmd, "--tenant is missing: %s is another secret for each tenant", ref)
	case !depends && r.tenant != "":
		return "", usagef(cmd, "--tenant: %s is the same secret for all tenants; leave the flag out to change it for all", ref)
	}
	filled, err := ref.Fill(r.tenant, adapter.Name)
	if err != nil {
		return "", usagef(cmd, "--tenant: %s", err)
	}
	return filled, nil
}
