package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
)

const (
	shortIDs  = "An ID may be shortened to its first or last 8 characters or more."
	leastID   = 8  // characters: fewer would soon name another letter than the one meant
	wholeID   = 36 // characters of a UUID
	mostNamed = 10 // letters in a message
)

// resolve turns shortened ids into whole ones. What names no letter stays as it is: whoever asks for it is told so.
func resolve(cmd *cobra.Command, client *admin.Client, args []string) ([]string, error) {
	out := make([]string, len(args))
	var known []string
	for i, arg := range args {
		out[i] = arg
		if len(arg) < leastID || len(arg) >= wholeID {
			continue
		}
		if known == nil {
			var err error
			if known, err = collect(cmd.Context(), client, admin.Query{}, 0); err != nil {
				return nil, err
			}
		}
		switch named := namedBy(known, arg); {
		case len(named) == 1:
			out[i] = named[0]
		case len(named) > mostNamed:
			return nil, usagef(cmd, "%s names %d letters; give more of the id", printable(arg), len(named))
		case len(named) > 1:
			return nil, usagef(cmd, "%s names several letters: %s", printable(arg), strings.Join(named, ", "))
		}
	}
	return out, nil
}

// namedBy are the ids that a shortened id may mean: the one that is equal to it, else all it begins or ends.
func namedBy(ids []string, short string) []string {
	var named []string
	for _, id := range ids {
		if id == short {
			return []string{id}
		}
		if strings.HasPrefix(id, strings.ToLower(short)) || strings.HasSuffix(id, strings.ToLower(short)) {
			named = append(named, id)
		}
	}
	return named
}

// misnamed is the error of a selection that matched nothing because its adapter does not exist: "no letters match"
// would tell an operator with a typing error that all is well. An adapter that is not configured any more exists as
// long as there is a letter of it.
func (s *selection) misnamed(cmd *cobra.Command, client *admin.Client) error {
	if s.adapter == "" {
		return nil
	}
	names, known, err := adapters(cmd.Context(), client, s.adapter)
	if err != nil || known {
		return err
	}
	left, err := client.Letters(cmd.Context(), admin.Query{Filter: dlq.Filter{Adapter: s.adapter}, Limit: 1})
	if err != nil || len(left.Letters) > 0 {
		return err
	}
	return noAdapter(cmd, s.adapter, names)
}

// adapters are the names of those configured, and whether one of them has this name or id.
func adapters(ctx context.Context, client *admin.Client, name string) (names []string, known bool, err error) {
	status, err := client.Status(ctx)
	for _, a := range status.Adapters {
		names = append(names, printable(a.Name))
		known = known || a.Name == name || a.ID == name
	}
	return names, known, err
}

func noAdapter(cmd *cobra.Command, name string, names []string) error {
	if len(names) == 0 {
		return usagef(cmd, "no adapter %s; none is configured", printable(name))
	}
	return usagef(cmd, "no adapter %s; there are %s", printable(name), strings.Join(names, ", "))
}
