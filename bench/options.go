package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The targets a run can measure, in the order they are printed.
const (
	nameDirect     = "direct"
	nameNginx      = "nginx"
	nameHAProxy    = "haproxy"
	nameHTTPUtil   = "httputil"
	namePooled     = "httputil-pool"
	nameSidecar    = "sidecar"
	nameSidecarLog = "sidecar-log"
	nameObserved   = "sidecar-observed"
	nameRedis      = "sidecar-redis"
)

// options are what the command line chooses.
type options struct {
	duration time.Duration
	warmup   time.Duration
	rounds   int
	conns    int
	starts   int
	names    []string // targets, in printing order
	sidecar  string   // a built binary; empty: build it
	json     bool
	enforce  bool
}

func allNames() []string {
	return []string{nameDirect, nameNginx, nameHAProxy, nameHTTPUtil, namePooled, nameSidecar, nameSidecarLog, nameObserved, nameRedis}
}

// defaultNames leave out the pooled yardstick: no target is held against it, and every target takes its share of
// the run's time.
func defaultNames() []string {
	return slices.DeleteFunc(allNames(), func(name string) bool { return name == namePooled })
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var only, without string
	usual := strings.Join(defaultNames(), ",")
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&o.duration, "duration", time.Second, "measured time of one slice")
	flags.DurationVar(&o.warmup, "warmup", 100*time.Millisecond, "unmeasured time before each slice")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds over all targets")
	flags.IntVar(&o.conns, "conns", 32, "keep-alive connections of the load generator")
	flags.IntVar(&o.starts, "starts", 5, "times each proxy is started to measure its start-up")
	flags.StringVar(&only, "only", usual, "targets to measure; "+namePooled+" can be added")
	flags.StringVar(&without, "without", "", "targets to leave out")
	flags.StringVar(&o.sidecar, "sidecar", "", "sidecar binary to measure; empty builds ./cmd/sidecar")
	flags.BoolVar(&o.json, "json", false, "print JSON instead of tables")
	flags.BoolVar(&o.enforce, "enforce", false, "exit 1 when a target is missed or could not be judged")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.duration <= 0 || o.warmup < 0 || o.rounds < 1 || o.conns < 1 || o.starts < 1 {
		return o, errors.New("duration, rounds, conns and starts must be positive")
	}
	var err error
	o.names, err = chooseNames(only, without)
	return o, err
}

// chooseNames keeps printing order and refuses names it does not know, so that a typo never drops a target silently.
func chooseNames(only, without string) ([]string, error) {
	keep, drop := splitNames(only), splitNames(without)
	for _, name := range slices.Concat(keep, drop) {
		if !slices.Contains(allNames(), name) {
			return nil, fmt.Errorf("unknown target %q: choose from %s", name, strings.Join(allNames(), ", "))
		}
	}
	names := slices.DeleteFunc(allNames(), func(name string) bool {
		return !slices.Contains(keep, name) || slices.Contains(drop, name)
	})
	if len(names) == 0 {
		return nil, errors.New("no target is left to measure")
	}
	return names, nil
}

func splitNames(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
