package main

import (
	"cmp"
	"context"
	"errors"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

const (
	defaultAdmin  = "127.0.0.1:9901"
	defaultProbes = "127.0.0.1:9902"
)

// door is how a command reaches the admin listener of a running sidecar.
type door struct {
	app       *app
	address   string
	tokenFile string
}

// flags registers --admin and --admin-token-file for c and its children.
func (d *door) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&d.address, "admin", "", "`ADDR` of the sidecar's admin listener or unix:/path of its socket (default SIDECAR_ADMIN, else "+defaultAdmin+")")
	c.PersistentFlags().StringVar(&d.tokenFile, "admin-token-file", "", "`FILE` of the token the sidecar wants, if it does (default the token in SIDECAR_ADMIN_TOKEN)")
}

func (d *door) client(cmd *cobra.Command) (*admin.Client, error) {
	address := cmp.Or(d.address, d.app.getenv("SIDECAR_ADMIN"), defaultAdmin)
	c, err := admin.NewClient(address, "--admin or SIDECAR_ADMIN names another")
	if err != nil {
		return nil, usagef(cmd, "--admin or SIDECAR_ADMIN: %s", err)
	}
	token, err := d.token()
	if err != nil {
		return nil, usagef(cmd, "--admin-token-file: %s", err)
	}
	c.Present(token)
	return c, nil
}

// token is what to show to the sidecar; empty when there is none. It is never an argument: those are seen by every user
// of the machine.
func (d *door) token() (secret.Value, error) {
	if d.tokenFile == "" {
		return secret.NewValue([]byte(strings.TrimSpace(d.app.getenv("SIDECAR_ADMIN_TOKEN")))), nil
	}
	return secret.NewResolver().Resolve(context.Background(), secret.Ref("file:"+d.tokenFile))
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

// once is the value of a flag that takes one text. Of two the last would count and the first be forgotten: manifests
// that are not printed, letters that are not sent.
type once struct {
	pflag.Value
	given bool
}

// Set implements pflag.Value.
func (o *once) Set(s string) error {
	if o.given {
		return errors.New("is given already, and takes one value")
	}
	o.given = true
	return o.Value.Set(s)
}

// onceEach lets the text flags of a command and its children be given once.
func onceEach(c *cobra.Command) {
	for _, flags := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if _, done := f.Value.(*once); !done && f.Value.Type() == "string" {
				f.Value = &once{Value: f.Value}
			}
		})
	}
	for _, child := range c.Commands() {
		onceEach(child)
	}
}

// wrongFlag says what a flag takes, where the library quotes the functions of Go.
func wrongFlag(cmd *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		takes := map[string]string{"float64": "a number, such as 5", "int": "a whole number", "duration": "a duration, such as 10m"}
		if want := takes[invalid.GetFlag().Value.Type()]; want != "" {
			return usagef(cmd, "--%s: %s is not %s", invalid.GetFlag().Name, quoted(invalid.GetValue()), want)
		}
	}
	return usagef(cmd, "%s", err)
}
