package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// playground is everything the demo runs: the external systems, a sidecar in front of them, an application that calls
// it, and a folder for what they write. close takes all of it away again.
type playground struct {
	dir    string
	config string   // file of the sidecar's configuration
	told   []string // what differs from the example, for the visitor

	world       *simulator.World
	sidecar     *process
	admin       *admin.Client
	application *application
	base        string   // where the application reaches the sidecar
	log         *os.File // nil when the sidecar's log goes elsewhere
}

// demoDrain is how long calls in flight may take when the demo ends; none should be.
const demoDrain = 2 * time.Second

// openPlayground starts it all. logs gets the sidecar's log; nil is a file in the folder.
func openPlayground(text []byte, systems map[string]simulator.Setting, logs io.Writer) (g *playground, err error) {
	g = new(playground)
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
			g = nil
		}
	}()
	if g.dir, err = os.MkdirTemp("", "sidecar-demo-"); err != nil {
		return g, err
	}
	if logs == nil {
		if g.log, err = os.Create(filepath.Join(g.dir, "sidecar.log")); err != nil {
			return g, err
		}
		logs = g.log
	}
	if g.world, err = simulator.Start(simulator.Config{Systems: systems}); err != nil {
		return g, err
	}
	if err = writeDemoSecrets(g.dir); err != nil {
		return g, err
	}
	g.config = filepath.Join(g.dir, "config.yaml")
	if err = g.configure(string(text)); err != nil {
		return g, err
	}
	return g, g.serve(logs)
}

// configure writes the example's text with the demo's changes.
func (g *playground) configure(text string) error {
	text, told, err := apply(text, demoEdits(g.dir, g.world))
	if err != nil {
		return fmt.Errorf("make the demo's configuration of config.example.yaml: %w", err)
	}
	g.told = told
	return os.WriteFile(g.config, []byte(text), 0o600)
}

// serve starts the sidecar as `sidecar run` would.
func (g *playground) serve(logs io.Writer) error {
	doc, err := config.Load(g.config)
	if err != nil {
		return err
	}
	if g.sidecar, err = start(doc, logs); err != nil {
		return err
	}
	g.base = "http://" + g.sidecar.server.Address("").String()
	g.application = newApplication(g.base)
	g.admin, err = admin.NewClient(g.sidecar.adminAddr.String(), "")
	return err
}

// close ends everything in reverse and removes the folder.
func (g *playground) close() error {
	var errs []error
	if g.application != nil {
		g.application.close()
	}
	if g.sidecar != nil {
		errs = append(errs, g.sidecar.stop(demoDrain))
	}
	if g.world != nil {
		errs = append(errs, g.world.Close())
	}
	if g.log != nil {
		errs = append(errs, g.log.Close())
	}
	if g.dir != "" {
		errs = append(errs, os.RemoveAll(g.dir))
	}
	return errors.Join(errs...)
}
