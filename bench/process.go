package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	startLimit = 15 * time.Second       // a proxy that does not answer by then never will
	startPoll  = 200 * time.Microsecond // resolution of the start-up time
	stopLimit  = 5 * time.Second        // from SIGTERM to SIGKILL
)

// program is what it takes to start a proxy.
type program struct {
	argv []string
	env  []string // added to the bench's own environment
	log  string   // file that takes stdout and stderr
}

// process is a started program.
type process struct {
	pid    int
	ended  chan struct{}
	signal func(os.Signal) error
	log    string
}

// start runs the program and returns without waiting for it.
func (p *program) start() (*process, error) {
	// Appending lets the bench cut the file between slices without the writer noticing.
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ofItsOwn(syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	started := &process{pid: cmd.Process.Pid, ended: make(chan struct{}), signal: cmd.Process.Signal, log: p.log}
	go func() {
		_ = cmd.Wait() // how it ended shows in its log
		close(started.ended)
	}()
	return started, nil
}

// stop ends the process: politely, then not.
func (p *process) stop() {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = p.signal(s) // an error means it has ended already
		select {
		case <-p.ended:
			return
		case <-time.After(stopLimit):
		}
	}
}

// awaitAnswer tries until addr gives the right answer to a GET.
func (p *process) awaitAnswer(ctx context.Context, addr string) error {
	get := workloads()[0]
	request := get.request(addr, "call")
	return p.await(ctx, func(deadline time.Time) error { return tryOnce(addr, &get, request, deadline) })
}

// await tries until it succeeds, the process ends, or startLimit is over.
func (p *process) await(ctx context.Context, try func(deadline time.Time) error) error {
	deadline := time.Now().Add(startLimit)
	for {
		err := try(deadline)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return errors.New("it ended at once; its output:\n" + tail(p.log))
		case <-time.After(startPoll):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no right answer in %v: %w; its output:\n%s", startLimit, err, tail(p.log))
		}
	}
}

func tryOnce(addr string, w *workload, request []byte, deadline time.Time) error {
	c, err := dial(addr, deadline)
	if err != nil {
		return err
	}
	defer c.close()
	return c.expect(w, request)
}

// tail is the end of a log for an error message.
func tail(file string) string {
	const most = 2000
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if len(text) == 0 {
		return "(nothing)"
	}
	return string(text[max(0, len(text)-most):])
}

// freeAddrs are n different free loopback addresses. All are held before any is given back, so no two are equal.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		addrs = append(addrs, listener.Addr().String())
	}
	return addrs, nil
}
