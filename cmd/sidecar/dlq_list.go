package main

import (
	"fmt"
	"net/url"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/admin"
)

func newListCommand(a *app, d *door) *cobra.Command {
	s, out := new(selection), new(format)
	c := &cobra.Command{
		Use:   "list",
		Short: "List letters, oldest first",
		Long: `Lists letters, oldest first: those that wait for somebody, unless --state says otherwise.

With --from it reads what was forwarded to the sink and still waits, by any sidecar of the application, also by one that
is gone. Reading a long topic takes a while.`,
		Example: `  sidecar dlq list
  sidecar dlq list --adapter sales-system --error-type timeout --since 2h
  sidecar dlq list --from kafka --adapter sales-system
  sidecar dlq list --state all --since 2026-01-31T00:00:00Z -o json`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := s.query(cmd, a.now())
			if err != nil {
				return err
			}
			if q.Limit = s.limit; q.Limit < 1 || q.Limit > admin.MaxLimit {
				return usagef(cmd, "--limit: %d is not a number from 1 to %d", q.Limit, admin.MaxLimit)
			}
			client, err := d.client(cmd)
			if err != nil {
				return err
			}
			found, err := client.Letters(cmd.Context(), q)
			if err != nil {
				return err
			}
			if len(found.Letters) == 0 {
				if err := s.misnamed(cmd, client); err != nil {
					return err
				}
			}
			if out.json() {
				return a.json(found.Letters)
			}
			a.printLetters(found)
			return nil
		},
	}
	s.flags(c)
	s.fromFlag(c)
	c.Flags().IntVar(&s.limit, "limit", admin.DefaultLimit, "list at most `N` letters")
	out.flags(c)
	return c
}

func (a *app) printLetters(p admin.Page) {
	if len(p.Letters) == 0 {
		a.printf("no letters match\n")
		return
	}
	t := newTable("ID", "KEPT", "STATE", "ADAPTER", "TENANT", "CALL", "ERROR", "CODE", "ATTEMPTS")
	for _, l := range p.Letters {
		m := l.Metadata
		t.AppendRow(table.Row{dash(l.ID), stamp(m.Created), dash(string(l.State)), dash(m.Adapter), dash(m.TenantID),
			dash(l.OriginalMessage.Method + " " + pathOf(l.OriginalMessage.URL)), dash(string(l.Error.Type)), dash(l.Error.Code), m.Attempts})
	}
	a.printf("%s\n", t.Render())
	if p.More {
		fmt.Fprintf(a.stderr, "sidecar: more than these %d match; --limit shows more\n", len(p.Letters))
	}
}

// pathOf leaves out what the adapter's column says already.
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.EscapedPath() == "" {
		return address
	}
	return u.EscapedPath()
}
