package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/admin"
)

func newDLQCommand(a *app) *cobra.Command {
	d := &door{app: a}
	c := group(&cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay and discard letters: calls that could not be delivered",
		Example: `  sidecar dlq list --adapter sales-system --since 2h
  sidecar dlq replay --adapter sales-system --dry-run`,
	}, newListCommand(a, d), newShowCommand(a, d), newReplayCommand(a, d), newDiscardCommand(a, d))
	d.flags(c)
	return c
}

// selection chooses letters by their properties.
type selection struct {
	adapter, errorType, since, until, tenant, key, operation, state string

	from    string // a sink; "": the sidecar's own spool
	untried string // name of a replay run
	limit   int
	all     bool
}

const openStates = "dead,forwarded"

func (s *selection) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.adapter, "adapter", "", "`NAME` or id of the adapter")
	f.StringVar(&s.errorType, "error-type", "", "`TYPE` of the failure: network, timeout, server_error, …")
	f.StringVar(&s.since, "since", "", "kept at or after `TIME`: RFC 3339, or a duration ago such as 2h")
	f.StringVar(&s.until, "until", "", "kept before `TIME`: RFC 3339, or a duration ago such as 30m")
	f.StringVar(&s.tenant, "tenant", "", "`TENANT` of the call")
	f.StringVar(&s.key, "key", "", "idempotency `KEY` of the call")
	f.StringVar(&s.operation, "operation", "", "`OPERATION` of the call as dlq show names it, such as \"POST /orders/{id}\"")
	f.StringVar(&s.state, "state", openStates, "`STATES`, separated by commas, or all")
}

// fromFlag registers --from.
func (s *selection) fromFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.from, "from", "", "letters that a `SINK` has, kafka or redis, also of sidecars that are gone")
}

// given reports whether a letter is chosen by anything at all.
func (s *selection) given(cmd *cobra.Command) bool {
	for _, name := range []string{"adapter", "error-type", "since", "until", "tenant", "key", "operation", "state"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return s.all
}

// query turns the flags into what the admin API asks for; its errors are the user's.
func (s *selection) query(cmd *cobra.Command, now time.Time) (admin.Query, error) {
	for name, value := range map[string]string{"since": s.since, "until": s.until} {
		if value != "" && !isTime(value) {
			return admin.Query{}, usagef(cmd, "--%s: %q is neither a time such as 2026-01-31T09:30:00Z nor a duration such as 2h", name, value)
		}
	}
	values := map[string][]string{"adapter": {s.adapter}, "error_type": {s.errorType}, "tenant": {s.tenant}, "key": {s.key},
		"operation": {s.operation}, "from": {s.from}, "untried": {s.untried}, "state": {s.state}, "since": {ago(s.since, now)}, "until": {ago(s.until, now)}}
	q, err := admin.ParseQuery(values)
	if err != nil {
		return q, usagef(cmd, "--%s", strings.Replace(err.Error(), "error_type:", "error-type:", 1))
	}
	return q, nil
}

// ago turns a duration into the time that long before now, and leaves a time as it is.
func ago(s string, now time.Time) string {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d).Format(time.RFC3339Nano)
	}
	return s
}

func isTime(s string) bool {
	d, err := time.ParseDuration(s)
	_, e := time.Parse(time.RFC3339, s)
	return err == nil && d >= 0 || e == nil
}

// choose returns the ids of the letters args name, else of those the flags choose, oldest first.
func (s *selection) choose(cmd *cobra.Command, client *admin.Client, args []string, now time.Time) ([]string, error) {
	if err := s.checkChoice(cmd, args); err != nil {
		return nil, err
	}
	if len(args) > 0 {
		ids, err := resolve(cmd, client, args)
		return unique(ids), err
	}
	q, err := s.query(cmd, now)
	if err != nil {
		return nil, err
	}
	ids, err := collect(cmd.Context(), client, q, s.limit)
	if err == nil && len(ids) == 0 {
		err = s.misnamed(cmd, client)
	}
	return ids, err
}

// checkChoice lets nothing be chosen that was not named or asked for by a flag.
func (s *selection) checkChoice(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 0 && s.given(cmd):
		return usagef(cmd, "name letters or choose them by flags, not both")
	case len(args) == 0 && !s.given(cmd):
		return usagef(cmd, "name letters, choose them by flags such as --adapter, or say --all")
	case s.limit < 0:
		return usagef(cmd, "--limit: %d is less than 0", s.limit)
	}
	return nil
}

// unique keeps the first of each id: a letter named twice must not be sent twice.
func unique(ids []string) []string {
	var out []string
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
