package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// target is one way to the upstream.
type target struct {
	name     string
	about    string     // version, for the report
	addr     string     // where the load goes
	program  *program   // nil for direct
	evidence []string   // what the upstream must see of a POST, in lower case
	logs     bool       // it must write a line per call
	keeps    bool       // it remembers keys, and so takes the workloads that have some
	redis    *redis     // where it does so, if that is no file of its own
	spans    *collector // where its spans go
	process  *process   // once launched
	startup  []time.Duration
}

// site is what the makers of targets need to know.
type site struct {
	dir      string // temporary directory
	self     string // this binary
	upstream string // address
	sidecar  string // binary given by the caller, or empty
	conns    int
}

// folder makes a directory of a target's own.
func (s *site) folder(name string) (string, error) {
	dir := filepath.Join(s.dir, name)
	return dir, os.Mkdir(dir, 0o700)
}

// newTarget prepares a target without starting it.
func newTarget(ctx context.Context, name string, s *site) (*target, error) {
	switch name {
	case nameNginx:
		return newNginx(ctx, s)
	case nameHAProxy:
		return newHAProxy(ctx, s)
	case nameHTTPUtil, namePooled:
		return newHTTPUtil(name, s)
	case nameSidecar, nameSidecarLog:
		return newSidecar(ctx, name, s)
	case nameObserved:
		return newSidecarObserved(ctx, s)
	case nameRedis:
		return newSidecarRedis(ctx, s)
	}
	return &target{name: nameDirect, addr: s.upstream}, nil
}

// workloads are the calls this target is measured with.
func (t *target) workloads() []workload {
	return slices.DeleteFunc(workloads(), func(w workload) bool { return w.keyed && !t.keeps })
}

func newHTTPUtil(name string, s *site) (*target, error) {
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	about, argv := "bare httputil.ReverseProxy", []string{s.self, roleHTTPUtil, "-listen", addrs[0], "-upstream", s.upstream}
	if name == namePooled {
		about, argv = "the same with a BufferPool", append(argv, "-pool")
	}
	return &target{name: name, about: about, addr: addrs[0], program: &program{
		argv: argv,
		log:  filepath.Join(s.dir, name+".log"),
	}}, nil
}

// launch starts the target times over, noting each start-up from exec to the first right answer through it, and
// leaves the last one running. Its Redis and its collector are started before, once.
func (t *target) launch(ctx context.Context, times int) error {
	if t.redis != nil {
		if err := t.redis.start(ctx); err != nil {
			return fmt.Errorf("start the Redis of %s: %w", t.name, err)
		}
	}
	if t.spans != nil {
		if err := t.spans.start(ctx); err != nil {
			return fmt.Errorf("start the collector of %s: %w", t.name, err)
		}
	}
	for i := range times {
		if i > 0 {
			t.process.stop()
		}
		begin := time.Now()
		p, err := t.program.start()
		if err != nil {
			return fmt.Errorf("start %s: %w", t.name, err)
		}
		t.process = p
		if err := p.awaitAnswer(ctx, t.addr); err != nil {
			return fmt.Errorf("start %s: %w", t.name, err)
		}
		t.startup = append(t.startup, time.Since(begin))
	}
	return nil
}

// stop ends the target's processes, if it has any.
func (t *target) stop() {
	if t.process != nil {
		t.process.stop()
	}
	if t.redis != nil {
		t.redis.stop()
	}
	if t.spans != nil {
		t.spans.stop()
	}
}
