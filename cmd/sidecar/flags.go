package main

import (
	"cmp"
	"errors"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/admin"
)

const (
	defaultAdmin  = "127.0.0.1:9901"
	defaultProbes = "127.0.0.1:9902"
)

// door is how a command reaches the admin listener of a running sidecar.
type door struct {
	app     *app
	address string
}

// flags registers --admin for c and its children.
func (d *door) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&d.address, "admin", "", "`ADDR` of the sidecar's admin listener (default SIDECAR_ADMIN, else "+defaultAdmin+")")
}

func (d *door) client(cmd *cobra.Command) (*admin.Client, error) {
	address := cmp.Or(d.address, d.app.getenv("SIDECAR_ADMIN"), defaultAdmin)
	c, err := admin.NewClient(address, "--admin or SIDECAR_ADMIN names another")
	if err != nil {
		return nil, usagef(cmd, "--admin or SIDECAR_ADMIN: %s", err)
	}
	return c, nil
}

// author is who a change is put down to.
type author string

// flags registers --who for c and its children.
func (w *author) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar((*string)(w), "who", "", "`NAME` for the audit (default the user of this shell)")
}

func (w *author) name() string {
	if *w != "" {
		return string(*w)
	}
	if u, err := user.Current(); err == nil {
		return cmp.Or(u.Username, "uid "+u.Uid)
	}
	return "" // the sidecar writes unknown
}

// format is the value of -o.
type format string

func (f *format) flags(c *cobra.Command) {
	*f = "table"
	c.Flags().VarP(f, "output", "o", "table or json")
}

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	if s != "table" && s != "json" {
		return errors.New("must be table or json")
	}
	*f = format(s)
	return nil
}

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (*format) Type() string { return "FORMAT" }

func (f format) json() bool { return f == "json" }
