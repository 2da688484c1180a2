package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	sidecar "github.com/fsm-integrations/sidecar"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// demo is one run of the command.
type demo struct {
	app     *app
	systems map[string]simulator.Setting
	stay    bool
	verbose bool
}

func newDemoCommand(a *app) *cobra.Command {
	d := &demo{app: a, systems: demoSystems()}
	c := &cobra.Command{
		Use:   "demo",
		Short: "See the whole product at work, with no other server",
		Long: `Runs, in this process and on loopback only, five simulated external systems and a real sidecar with the policies of
config.example.yaml, and plays a day in front of them: flaky calls, a doubled order, a lost answer, a burst, an outage,
a letter, a reload. Each chapter shows what the application saw and what the provider saw, and checks it.

Takes about ten seconds. Exits 0 only if all of it happened. Leaves nothing behind.`,
		Example: `  sidecar demo
  sidecar demo --stay`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
			return d.run(ctx)
		},
	}
	c.Flags().BoolVar(&d.stay, "stay", false, "leave everything running afterwards, until Ctrl-C")
	c.Flags().BoolVar(&d.verbose, "verbose", false, "show the sidecar's own log too, on stderr")
	return c
}

// run plays the day and takes everything down again, also when it is interrupted.
func (d *demo) run(ctx context.Context) (err error) {
	began := time.Now()
	var logs io.Writer
	if d.verbose {
		logs = d.app.stderr
	}
	g, err := openPlayground(sidecar.ExampleConfig, d.systems, logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	s := &story{teller: newTeller(ctx, d.app), playground: g}
	s.introduce()
	well := s.tell(ctx)
	if ctx.Err() != nil {
		return errors.New("the demo was interrupted; everything it had started is gone")
	}
	s.conclude(well, time.Since(began))
	if d.stay {
		d.wait(ctx, s)
	} else {
		s.next()
	}
	if !well {
		return errNotWell
	}
	return nil
}

// wait leaves everything running until an interrupt. A change of the configuration is loaded, as `sidecar run` does.
func (d *demo) wait(ctx context.Context, s *story) {
	s.addresses()
	changes, err := watch(s.config, digest(config.Files(s.config)), s.sidecar.log)
	if err != nil {
		changes = &watcher{}
	}
	defer changes.close()
	for {
		select {
		case <-changes.changed:
			if err := s.sidecar.reload(ctx); err != nil {
				s.aside("not reloaded: %s", err)
				continue
			}
			s.aside("%s reloaded", s.config)
		case <-ctx.Done():
			return
		}
	}
}
