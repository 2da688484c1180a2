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
	keyed  memory // the same after the calls with keys
	slices map[string][]slice
}

// bench is one run.
type bench struct {
	options options
	site    *site
	series  []*series
	note    io.Writer
	numbers int // of slices and checks so far
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
	return t.check(b.number())
}

// number is a new one for each slice and check of the run: keys begin with it, and so are used once.
func (b *bench) number() int {
	b.numbers++
	return b.numbers
}

func (b *bench) stop() {
	for _, s := range b.series {
		s.target.stop()
	}
}
