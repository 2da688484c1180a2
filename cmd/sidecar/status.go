package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/proxy"
)

func newStatusCommand(a *app) *cobra.Command {
	d, out := &door{app: a}, new(format)
	c := &cobra.Command{
		Use:   "status",
		Short: "Show adapters, breakers, limiters, spool and last reload of a running sidecar",
		Long: `Shows how a running sidecar and its adapters are. Exits 0 whenever the sidecar answered, however it is, and 3 when
nothing answers; sidecar health is what tells a script whether it is ready.`,
		Example: `  sidecar status
  sidecar status --admin 127.0.0.1:9901 -o json`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := d.client(cmd)
			if err != nil {
				return err
			}
			s, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if out.json() {
				return a.json(s)
			}
			a.printStatus(s)
			return nil
		},
	}
	d.flags(c)
	out.flags(c)
	return c
}

func (a *app) printStatus(s proxy.Status) {
	state := "not ready"
	switch {
	case s.Draining:
		state = "draining"
	case s.Ready:
		state = "ready"
	}
	a.printf("sidecar %s: %s, started %s\n\n", printable(s.Version), state, stamp(s.Started))
	t := newTable("ADAPTER", "ID", "VERSION", "UPSTREAM", "CHECK", "BREAKER", "LIMIT", "CALLS", "IN FLIGHT", "LETTERS", "HEALTH")
	for _, ad := range s.Adapters {
		t.AppendRow(table.Row{dash(ad.Name), dash(ad.ID), dash(ad.Version), dash(ad.Upstream), checkCell(ad.Check), breakerCell(ad.Breaker),
			limiterCell(ad.Limiter), callsCell(ad.Totals), ad.InFlight, ad.OpenLetter, healthCell(ad)}) // what may be a sentence is last
	}
	a.printf("%s\n\nspool   %s\n", t.Render(), spoolLine(s.Spool))
	if s.Accepted != nil {
		a.printf("async   %s\n", acceptedLine(s.Accepted))
	}
	if s.Sink != nil {
		a.printf("sink    %s\n", sinkLine(s.Sink))
	}
	if s.Redis != nil {
		a.printf("redis   %s\n", redisLine(s.Redis))
	}
	if s.Vault != nil {
		a.printf("vault   %s\n", vaultLine(s.Vault))
	}
	a.printf("config  %s\n", reloadLine(s.Reload))
}

func healthCell(a proxy.AdapterStatus) string {
	if a.Message == "" || a.Health == "pass" {
		return dash(a.Health)
	}
	return printable(a.Health + ": " + a.Message)
}

func checkCell(c *proxy.CheckStatus) string {
	switch {
	case c == nil:
		return "-"
	case c.Since == nil:
		return printable(c.State)
	case c.State == "up":
		return fmt.Sprintf("up, %g ms", c.Latency)
	}
	return printable(c.State) + " since " + stamp(*c.Since)
}

func callsCell(n proxy.Totals) string {
	cell := strconv.FormatInt(n.Succeeded+n.Failed, 10)
	if n.Failed > 0 {
		cell += fmt.Sprintf(", %d failed", n.Failed)
	}
	return cell
}

func breakerCell(b proxy.BreakerStatus) string {
	switch {
	case b.Manual:
		return printable(b.State) + " by hand"
	case b.State == "open" && b.RetryAfter != "":
		return "open, probes in " + printable(b.RetryAfter)
	case b.State == "closed" && b.Failures > 0:
		return "closed, " + plural(b.Failures, "failure")
	}
	return dash(b.State)
}

func limiterCell(l *proxy.LimiterStatus) string {
	if l == nil {
		return "-"
	}
	cell := fmt.Sprintf("%d of %d, %g/s", int(l.Tokens), l.Capacity, l.Rate)
	if l.Tenants > 0 {
		cell += ", emptiest of " + plural(l.Tenants, "tenant")
	}
	return cell
}

func spoolLine(s proxy.SpoolStatus) string {
	var parts []string
	for _, state := range dlq.States() {
		if n := s.Letters[string(state)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no letters"}
	}
	line := strings.Join(parts, ", ") + "; " + size(s.Bytes) + " of " + size(s.MaxBytes)
	if s.Oldest != nil {
		line += "; the oldest open one is of " + stamp(*s.Oldest)
	}
	if s.LastLost != nil {
		line += fmt.Sprintf("\n        LOST: %s since start, the last at %s", plural(s.Lost, "letter"), stamp(*s.LastLost))
	}
	if s.Failing != "" {
		line += "; still failing: " + page(s.Failing)
	}
	return line
}

func acceptedLine(s *proxy.AcceptedStatus) string {
	line := fmt.Sprintf("%d waiting, %d running; %s of %s", s.Waiting, s.Running, size(s.Bytes), size(s.MaxBytes))
	if s.Oldest != nil {
		line += "; the oldest is of " + stamp(*s.Oldest)
	}
	if s.Uncopied > 0 {
		line += fmt.Sprintf("; %d without a copy in Redis", s.Uncopied)
	}
	if s.TakenOver > 0 || s.Lost > 0 {
		line += fmt.Sprintf("; since start %d taken over from others, %d by others", s.TakenOver, s.Lost)
	}
	if s.Damaged > 0 {
		line += "\n        LOST: " + plural(s.Damaged, "exchange") + " could not be read"
	}
	if s.Failing != "" {
		line += "\n        NOT ACCEPTING: " + page(s.Failing)
	}
	return line
}

func sinkLine(s *proxy.SinkStatus) string {
	line := fmt.Sprintf("%s: %d forwarded, %d waiting", printable(s.Sink), s.Forwarded, s.Waiting)
	if s.Waiting > 0 {
		line += ", the oldest for " + printable(s.Lag)
	}
	if s.Refused > 0 {
		line += fmt.Sprintf("; %s refused for good", plural(int(s.Refused), "letter"))
	}
	if s.FailingSince != nil {
		line += "\n        FAILING since " + stamp(*s.FailingSince) + ": " + page(s.LastError)
	}
	return line
}

func redisLine(r *proxy.RedisStatus) string {
	line := "up: keys and limits are shared"
	if !r.Up {
		line = "DOWN: limits are local, keys as each adapter's idempotency.store says"
	}
	if r.Since != nil {
		line += "; since " + stamp(*r.Since)
	}
	if r.Keys.Pending > 0 {
		line += "; " + plural(r.Keys.Pending, "outcome") + " not yet written"
	}
	if r.Keys.Lost > 0 {
		line += "\n        LOST: " + plural(int(r.Keys.Lost), "outcome") + " since start"
	}
	for _, said := range []string{r.Why, r.Warning} {
		if said != "" {
			line += "\n        " + page(said)
		}
	}
	return line
}

func vaultLine(v *proxy.VaultStatus) string {
	line := "up: " + printable(v.Address) + " as " + printable(v.Login)
	if !v.Up {
		line = "DOWN: what is known of " + printable(v.Address) + " stays in use for vault.stale_for"
	}
	if v.Since != nil {
		line += "; since " + stamp(*v.Since)
	}
	line += "; " + plural(v.Secrets, "secret")
	if v.Secrets > 0 {
		line += ", the oldest in use asked for " + (time.Duration(v.OldestSeconds) * time.Second).String() + " ago"
	}
	if v.TokenExpires != nil {
		line += "; token until " + stamp(*v.TokenExpires)
	}
	if v.Why != "" {
		line += "\n        " + page(v.Why)
	}
	return line
}

func reloadLine(r proxy.ReloadStatus) string {
	if r.Success {
		return fmt.Sprintf("%s, loaded %s", dash(r.File), stamp(r.Time))
	}
	return fmt.Sprintf("%s, refused %s; the one before is in force:\n%s", dash(r.File), stamp(r.Time), page(r.Error))
}
