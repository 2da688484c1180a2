// Command bench measures what the sidecar costs beside other proxies, in one run.
//
// It starts an upstream, nginx, HAProxy, a bare httputil.ReverseProxy and the sidecar (once with its log off, once
// with a line per call, once with spans and lines of 1 %, once with its state in a redis-server), each as a process of its own on loopback, and sends the
// same calls through each of them in short slices, round after round. A busy machine then disturbs all of them alike,
// and the ratios between them hold where absolute numbers do not. README.md says how to read the result.
//
// The upstream, the load generator, the collector of spans and the bare proxy are this binary again, started with a role as its first
// argument, so that the CPU time of each proxy is that of one process with nothing else in it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// errMissed is a run that measured everything and missed a target under -enforce.
var errMissed = errors.New("a target was missed")

func main() {
	// Children ask the kernel to be ended with the thread that started them, so that even a killed bench leaves
	// nothing behind. That thread must therefore live as long as the process: the main goroutine keeps it.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dispatch runs the role named by the first argument, or the bench itself.
func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case roleUpstream:
			return runUpstream(ctx, args[1:])
		case roleCollector:
			return runCollector(ctx, args[1:])
		case roleHTTPUtil:
			return runHTTPUtil(ctx, args[1:])
		case roleLoad:
			return runLoad(args[1:], os.Stdin, stdout)
		}
	}
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	return runBench(ctx, o, stdout, stderr)
}
