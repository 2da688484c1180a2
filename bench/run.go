package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// settle is the pause between start and load in which a proxy gets to be idle before its memory is read.
const settle = 500 * time.Millisecond

// series is all that was measured of one target.
type series struct {
	target *target
	idle   memory
	loaded memory // peak since idle
	slices map[string][]slice
}

// bench is one run.
type bench struct {
	options options
	site    *site
	series  []*series
	note    io.Writer
}

// runBench measures and reports. Whatever it started is ended when it returns, interrupted or not.
func runBench(ctx context.Context, o options, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "sidecar-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	before := observeHost()
	b := &bench{options: o, note: stderr}
	defer b.stop()
	upstream, err := b.prepare(ctx, dir)
	if upstream != nil {
		defer upstream.stop()
	}
	if err == nil {
		err = b.measure(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted; everything it started is ended")
		}
		return err
	}
	return newReport(b, before, observeHost()).write(stdout, o)
}

// prepare starts the upstream and every target, and checks that they do what is to be measured.
func (b *bench) prepare(ctx context.Context, dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	b.site = &site{dir: dir, self: self, upstream: addrs[0], sidecar: b.options.sidecar, conns: b.options.conns}
	upstream, err := (&program{
		argv: []string{self, roleUpstream, "-listen", addrs[0]},
		env:  []string{helperProcs},
		log:  filepath.Join(dir, "upstream.log"),
	}).start()
	if err != nil {
		return nil, err
	}
	if err := upstream.awaitAnswer(ctx, addrs[0]); err != nil {
		return upstream, fmt.Errorf("start the upstream: %w", err)
	}
	for _, name := range b.options.names {
		if err := b.add(ctx, name); err != nil {
			return upstream, err
		}
	}
	return upstream, nil
}

// add prepares, launches and checks one target.
func (b *bench) add(ctx context.Context, name string) error {
	fmt.Fprintln(b.note, "start", name)
	t, err := newTarget(ctx, name, b.site)
	if err != nil {
		return err
	}
	b.series = append(b.series, &series{target: t, slices: map[string][]slice{}})
	if t.program != nil {
		if err := t.launch(ctx, b.options.starts); err != nil {
			return err
		}
	}
	return t.check()
}

func (b *bench) stop() {
	for _, s := range b.series {
		s.target.stop()
	}
}

// measure goes round after round over all targets and workloads. Each round begins with the next target, so that
// none always runs at the same moment after the same neighbour.
func (b *bench) measure(ctx context.Context) error {
	time.Sleep(settle)
	for _, s := range b.series {
		if err := s.readIdle(); err != nil {
			return err
		}
	}
	for round := range b.options.rounds {
		fmt.Fprintf(b.note, "round %d of %d\n", round+1, b.options.rounds)
		for i := range b.series {
			s := b.series[(i+round)%len(b.series)]
			for _, w := range workloads() {
				one, err := b.slice(ctx, s.target, w.name)
				if err != nil {
					return fmt.Errorf("%s %s: %w", s.target.name, w.name, err)
				}
				one.Round = round + 1
				s.slices[w.name] = append(s.slices[w.name], one)
			}
		}
	}
	for _, s := range b.series {
		if err := s.readLoaded(); err != nil {
			return err
		}
	}
	return nil
}

func (s *series) readIdle() (err error) {
	if s.target.process == nil {
		return nil
	}
	if s.idle, err = memoryOf(s.target.process.pid); err != nil {
		return err
	}
	// Where the kernel does not allow it, the peak is that of the whole run: never lower than that of the load.
	_ = resetPeak(s.target.process.pid)
	return nil
}

func (s *series) readLoaded() (err error) {
	if s.target.process != nil {
		s.loaded, err = memoryOf(s.target.process.pid)
	}
	return err
}
