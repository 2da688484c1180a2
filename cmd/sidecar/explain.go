package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
	"github.com/fsm-integrations/sidecar/proxy"
)

func newExplainCommand(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "explain --config FILE METHOD URL",
		Short: "Say what would happen to a call, and which line says so",
		Long: `Say which adapter and operation a call belongs to, whether it would be refused, each effective policy with the line
that set it, how often and how long the call may be tried, and whether it may be sent twice.

URL is a URL of the sidecar, a path below it, or the URL of the external system that is to be reached.`,
		Example: "  sidecar explain --config config.yaml POST /sales-system/api/v2/orders/intake",
		Args:    needs("METHOD", "URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef(cmd, "--config is missing")
			}
			return a.explain(file, strings.ToUpper(args[0]), args[1])
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE`")
	return c
}

func (a *app) explain(file, method, target string) error {
	doc, err := config.Load(file)
	if err != nil {
		return err
	}
	found, err := proxy.Find(doc, method, target)
	if err != nil {
		return err
	}
	a.explainRoute(doc, found, method)
	a.explainCall(doc, found, method)
	a.printf("addresses  link-local and metadata addresses are refused always, whatever egress says\n")
	a.printf("\nEffective policies\n")
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, s := range doc.Effective(found.Adapter.Name, found.Operation) {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", s.Path, s.Value, s.Origin)
	}
	return w.Flush()
}

func (a *app) explainRoute(doc *config.Document, f proxy.Found, method string) {
	operation := f.Operation
	if operation == "" {
		operation = "none matches; the adapter's own policies apply"
	}
	a.printf("adapter    %s (id %s, version %s), found %s\n", f.Adapter.Name, f.Adapter.ID, f.Adapter.Version, f.Rule)
	a.printf("version    a call that asks for another than %s (%s: 2, 2.1, ^2.1, 2.1.0, …) is refused %d\n", f.Adapter.Version, policy.VersionField,
		problem.New(problem.VersionMismatch, "").Status())
	a.printf("operation  %s\n", operation)
	a.printf("upstream   %s %s\n", method, f.Upstream)
}

// explainCall says that a call is refused, or else how often it is tried: never both, because one is untrue then.
func (a *app) explainCall(doc *config.Document, f proxy.Found, method string) {
	s, advice := f.Settings, policy.Advise(f.Settings, method)
	origin := func(path string) string { return doc.Origin(f.Adapter.Name, f.Operation, path) + " of " + path }
	if advice.Refused != "" {
		why := "the sidecar never takes " + method
		if advice.RefusedBy != "" {
			why = origin(advice.RefusedBy)
		}
		a.printf("refused    %d %s (%s)\n", problem.New(advice.Refused, "").Status(), advice.Refused, why)
		return
	}
	if advice.NeedsKey {
		unless := ""
		if len(s.Idempotency.KeyFrom) > 0 {
			unless = ", unless the call holds all parts of idempotency.key_from"
		}
		a.printf("key        needs an idempotency key in %s%s (%s)\n", s.Idempotency.Header, unless, origin("idempotency.required"))
	}
	if when := policy.AcceptedWhen(s, method); when != "" {
		a.printf("delivery   answered 202 once it is on disk, and sent later%s (%s)\n", when, origin("delivery"))
	}
	if advice.Renewed {
		a.printf("token      from the endpoint in auth.oauth2, renewed before it ends; a 401 is followed by one more attempt with a fresh one (%s)\n", origin("auth.oauth2"))
	}
	allowed := "no"
	if advice.Retried {
		allowed = "yes"
	}
	a.printf("attempts   at most %d\n", advice.Attempts)
	a.printf("latency    at most %s (timeout.total %s)\n", units.Duration(advice.Latency), s.Timeout.Total)
	a.printf("retry      %s: %s\n", allowed, advice.Why)
}
