package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// target is one way to the upstream.
type target struct {
	name     string
	about    string   // version, for the report
	addr     string   // where the load goes
	program  *program // nil for direct
	evidence []string // what the upstream must see of a POST, in lower case
	logs     bool     // it must write a line per call
	process  *process // once launched
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
	}
	return &target{name: nameDirect, addr: s.upstream}, nil
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
// leaves the last one running.
func (t *target) launch(ctx context.Context, times int) error {
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

// stop ends the target's process, if it has one.
func (t *target) stop() {
	if t.process != nil {
		t.process.stop()
	}
}

// check makes each call once and proves that what passes is what shall be measured: right answers for every target,
// and for the sidecar the marks its policies leave on the request.
func (t *target) check() error {
	c, err := dial(t.addr, time.Now().Add(callGrace))
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	defer c.close()
	for _, w := range workloads() {
		if err := c.expect(&w, w.request(t.addr, "call")); err != nil {
			return fmt.Errorf("%s %s: %w", t.name, w.name, err)
		}
	}
	post := workloads()[1]
	status, seen, err := c.call(post.request(t.addr, "echo"))
	if err != nil {
		return fmt.Errorf("%s: the upstream's echo: %w", t.name, err)
	}
	if status != 200 {
		return fmt.Errorf("%s: the upstream's echo came as %d: %s", t.name, status, seen)
	}
	for _, mark := range t.evidence {
		if !strings.Contains(strings.ToLower(string(seen)), mark) {
			return fmt.Errorf("%s: the request reached the upstream without %q; it got:\n%s", t.name, mark, seen)
		}
	}
	return nil
}
