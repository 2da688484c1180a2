package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// measure visits all targets with the calls without keys, and then, with those with keys, the targets that keep them.
// Kept keys stay in memory or in the pages of a mapped file: mixed in, they would change what the other calls cost.
func (b *bench) measure(ctx context.Context) error {
	time.Sleep(settle)
	if err := b.each((*series).readIdle); err != nil {
		return err
	}
	if err := b.visit(ctx, b.series, false); err != nil {
		return err
	}
	if err := b.each((*series).readLoaded); err != nil {
		return err
	}
	if err := b.visit(ctx, b.keeping(), true); err != nil {
		return err
	}
	if err := b.each(func(s *series) error { return s.target.spans.check() }); err != nil {
		return err
	}
	return b.each((*series).readKeyed)
}

func (b *bench) each(do func(*series) error) error {
	for _, s := range b.series {
		if err := do(s); err != nil {
			return err
		}
	}
	return nil
}

// keeping are the targets that keep keys.
func (b *bench) keeping() []*series {
	return slices.DeleteFunc(slices.Clone(b.series), func(s *series) bool { return !s.target.keeps })
}

// visit goes round after round over targets, with their workloads that are keyed, or with those that are not. Each
// round begins with the next target, so that none always runs at the same moment after the same neighbour.
func (b *bench) visit(ctx context.Context, all []*series, keyed bool) error {
	for round := range b.options.rounds {
		fmt.Fprintf(b.note, "round %d of %d%s\n", round+1, b.options.rounds, map[bool]string{true: " with keys"}[keyed])
		for i := range all {
			s := all[(i+round)%len(all)]
			for _, w := range s.target.workloads() {
				if w.keyed != keyed {
					continue
				}
				one, err := b.slice(ctx, s.target, &w)
				if err != nil {
					return fmt.Errorf("%s %s: %w", s.target.name, w.name, err)
				}
				one.Round = round + 1
				s.slices[w.name] = append(s.slices[w.name], one)
			}
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

func (s *series) readKeyed() (err error) {
	if s.target.keeps {
		s.keyed, err = memoryOf(s.target.process.pid)
	}
	return err
}
