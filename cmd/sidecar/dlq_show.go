package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/dlq"
)

// maxShown is how much of a body show prints.
const maxShown = 4 << 10

func newShowCommand(a *app, d *door) *cobra.Command {
	out := new(format)
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one letter: the call, why it failed, every attempt, what was done about it",
		Long:  "Shows one letter whole. " + shortIDs,
		Example: `  sidecar dlq show 0198f0c2-7a35-7c11-9d3a-4be1c2a90d11
  sidecar dlq show 0198f0c2-7a35-7c11-9d3a-4be1c2a90d11 -o json`,
		Args: needs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := d.client(cmd)
			if err != nil {
				return err
			}
			ids, err := resolve(cmd, client, args)
			if err != nil {
				return err
			}
			l, err := client.Letter(cmd.Context(), ids[0])
			if err != nil {
				return err
			}
			if out.json() {
				return a.json(l)
			}
			a.printf("%s", renderLetter(l))
			return nil
		},
	}
	out.flags(c)
	return c
}

func renderLetter(l *dlq.Letter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", facts(l))
	if len(l.Attempts) > 0 {
		fmt.Fprintf(&b, "\nattempts\n%s\n", attemptTable(l.Attempts))
	}
	if len(l.Audit) > 0 {
		fmt.Fprintf(&b, "\nhistory\n%s\n", auditTable(l.Audit))
	}
	b.WriteString("\nfields\n")
	for _, h := range l.OriginalMessage.Headers {
		fmt.Fprintf(&b, "  %s: %s\n", printable(h.Name), printable(h.Value))
	}
	b.WriteString("\n" + renderBody(l.OriginalMessage.Body))
	return b.String()
}

// facts are the lines of a letter that have a name and a value; those without a value are left out.
func facts(l *dlq.Letter) string {
	m, call := l.Metadata, l.OriginalMessage
	t := newTable()
	row := func(name, value string) {
		if value != "" {
			t.AppendRow(table.Row{name, printable(value)})
		}
	}
	row("letter", l.ID)
	row("state", string(l.State))
	row("kept", stamp(m.Created))
	row("adapter", strings.TrimSpace(m.Adapter+" ("+m.AdapterID+" "+m.AdapterVersion)+")")
	row("call", call.Method+" "+call.URL)
	row("operation", call.Operation)
	row("error", string(l.Error.Type)+", "+l.Error.Code+": "+l.Error.Message)
	row("correlation id", m.CorrelationID)
	row("tenant", m.TenantID)
	row("user", m.UserID)
	row("key", m.IdempotencyKey+map[bool]string{true: " (made by the sidecar)"}[m.Fresh])
	row("body", plural(len(call.Body), "byte")+", "+dash(call.BodyDigest))
	return t.Render()
}

func attemptTable(attempts []dlq.Attempt) string {
	t := newTable("  #", "START", "TOOK", "SENT", "STATUS", "ERROR")
	for _, at := range attempts {
		sent, status := "no", "-"
		if at.Sent {
			sent = "yes"
		}
		if at.Status != 0 {
			status = fmt.Sprint(at.Status)
		}
		t.AppendRow(table.Row{fmt.Sprintf("  %d", at.Number), stamp(at.Start), took(at.Duration), sent, status, dash(at.Error)})
	}
	return t.Render()
}

func auditTable(audit []dlq.Audit) string {
	t := newTable("  TIME", "WHO", "ACTION", "OUTCOME")
	for _, e := range audit {
		t.AppendRow(table.Row{"  " + stamp(e.Time), dash(e.Who), dash(e.Action) + forced(e), dash(e.Outcome) + inRun(e.Run)})
	}
	return t.Render()
}

func forced(e dlq.Audit) string {
	if e.Forced {
		return " with force"
	}
	return ""
}

func inRun(run string) string {
	if run == "" {
		return ""
	}
	return " (" + printable(run) + ")"
}

// renderBody prints text, up to maxShown bytes, and only says of anything else that it is there.
func renderBody(body []byte) string {
	switch {
	case len(body) == 0:
		return "no body\n"
	case !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0:
		return fmt.Sprintf("the body is not text; -o json holds its %s as base64\n", plural(len(body), "byte"))
	case len(body) <= maxShown:
		return "body\n" + page(string(body)) + "\n"
	}
	cut := maxShown
	for !utf8.RuneStart(body[cut]) {
		cut--
	}
	return fmt.Sprintf("body\n%s\n… %s more; -o json holds all of it\n", page(string(body[:cut])), plural(len(body)-cut, "byte"))
}
