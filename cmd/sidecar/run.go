package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

func newRunCommand(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Serve",
		Long: `Serve the adapters of a configuration until SIGTERM or SIGINT, which drains: calls in flight are finished within
the configured time, then the sidecar exits. A second signal exits at once. SIGHUP, and any change of the file, loads
it again; an invalid file changes nothing.`,
		Example: "  sidecar run --config config.yaml",
		Args:    needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef(cmd, "--config is missing")
			}
			return a.run(file)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE`")
	return c
}

// run serves until a signal says otherwise.
func (a *app) run(file string) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) // to the end of the process: one more must not change how it ended
	seen := digest(config.Files(file))                                      // before it is loaded: what changes from here on is not missed
	doc, err := config.Load(file)
	if err != nil {
		return err
	}
	limitProcessors(a.getenv)
	p, err := start(doc, a.stdout)
	if err != nil {
		return err
	}
	log.SetFlags(0)
	log.SetOutput(telemetry.Library(p.log).Writer()) // net/http's client prints there what it found odd
	telemetry.OpenTelemetryTo(p.log)
	shared.LogTo(telemetry.Library(p.log))
	for _, w := range doc.Warnings {
		p.log.Warn("configuration", "warning", w.Error())
	}
	changes, err := watch(file, seen, p.log)
	if err != nil {
		p.log.Warn("the configuration file is not watched; SIGHUP still reloads it", "error", err.Error())
		changes = &watcher{}
	}
	defer changes.close()
	for {
		select {
		case <-changes.changed:
			_ = p.reload(context.Background()) // it has logged why not
		case s := <-signals:
			if s == syscall.SIGHUP {
				_ = p.reload(context.Background())
				continue
			}
			return a.drain(p, signals)
		}
	}
}

// drain stops the process; a second signal while it does ends it at once. One that comes when it has stopped changes
// nothing.
func (a *app) drain(p *process, signals <-chan os.Signal) error {
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop(p.server.Drain()) }()
	for {
		select {
		case err := <-stopped:
			return err
		case s := <-signals:
			select {
			case <-p.closed:
				return <-stopped
			default:
			}
			if s != syscall.SIGHUP {
				return errors.New("a second signal ended the sidecar before it had drained")
			}
		}
	}
}
