package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Bounds of one page of letters.
const (
	DefaultLimit = 100
	MaxLimit     = 5000 // about 3 MB of JSON
)

// Query is a filter, how many letters to answer with, and where the page before ended, as a URL writes them.
type Query struct {
	Filter dlq.Filter
	Limit  int
	After  string // id; only letters after it, "" for all
	From   string // kafka or redis: letters that a sink has; "": those of the sidecar's own spool
	Newest bool   // newest first; After then chooses those before it
}

// ParseQuery reads a query. An unknown parameter is an error: a misspelt filter must not choose every letter.
func ParseQuery(values url.Values) (Query, error) {
	q := Query{Limit: DefaultLimit}
	for name, all := range values {
		if len(all) != 1 && name != "state" {
			return Query{}, fmt.Errorf("%s: is given more than once", name)
		}
		if err := q.set(name, all); err != nil {
			return Query{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return q, nil
}

func (q *Query) set(name string, values []string) (err error) {
	f, value := &q.Filter, values[0]
	switch name {
	case "adapter":
		f.Adapter = value
	case "tenant":
		f.Tenant = value
	case "key":
		f.Key = value
	case "operation":
		f.Operation = value
	case "tried":
		f.Tried = value
	case "untried":
		f.Untried = value
	case "from":
		q.From, err = parseSink(value)
	case "error_type":
		f.ErrorType, err = parseErrorType(value)
	case "since":
		f.Since, err = parseTime(value)
	case "until":
		f.Until, err = parseTime(value)
	case "state":
		f.States, err = parseStates(values)
	case "newest":
		q.Newest, err = strconv.ParseBool(value)
	case "after":
		q.After = value
	case "limit":
		q.Limit, err = parseLimit(value)
	default:
		err = fmt.Errorf("is unknown; a letter is chosen by adapter, error_type, since, until, tenant, key, operation, state, tried, untried, from, limit, after and newest")
	}
	return err
}

// Values writes the query as ParseQuery reads it.
func (q Query) Values() url.Values {
	f, v := q.Filter, url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("adapter", f.Adapter)
	set("error_type", string(f.ErrorType))
	set("tenant", f.Tenant)
	set("key", f.Key)
	set("operation", f.Operation)
	set("tried", f.Tried)
	set("untried", f.Untried)
	set("from", q.From)
	set("after", q.After)
	for name, t := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !t.IsZero() {
			v.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	for _, s := range f.States {
		v.Add("state", string(s))
	}
	if q.Newest {
		v.Set("newest", "true")
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func parseSink(value string) (string, error) {
	if value == "" || value == "kafka" || value == "redis" {
		return value, nil
	}
	return "", fmt.Errorf("%q is neither kafka nor redis", value)
}

func parseErrorType(value string) (problem.ErrorType, error) {
	t := problem.ErrorType(value)
	if value == "" || slices.Contains(problem.ErrorTypes(), t) {
		return t, nil
	}
	return "", fmt.Errorf("%q is none of %s", value, join(problem.ErrorTypes()))
}

// parseStates reads a list; the word all chooses every state.
func parseStates(values []string) ([]dlq.State, error) {
	var states []dlq.State
	for _, value := range values {
		for word := range strings.SplitSeq(value, ",") {
			s := dlq.State(strings.TrimSpace(word))
			switch {
			case s == "all":
				return nil, nil
			case s == "":
			case !slices.Contains(dlq.States(), s):
				return nil, fmt.Errorf("%q is none of %s, all", word, join(dlq.States()))
			default:
				states = append(states, s)
			}
		}
	}
	return states, nil
}

func parseTime(value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return t, fmt.Errorf("%q is not a time such as 2026-01-31T09:30:00Z", value)
	}
	return t, nil
}

func parseLimit(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > MaxLimit {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", value, MaxLimit)
	}
	return n, nil
}

func join[T ~string](words []T) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return strings.Join(s, ", ")
}
