package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

const roleCollector = "bench-collector"

// runCollector is the role that stands for a collector of spans: it takes what is posted, throws it away, and says to a
// GET how many posts there were.
func runCollector(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(roleCollector, flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var posts atomic.Int64
	server := &http.Server{Addr: *listen, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			posts.Add(1)
			return
		}
		_, _ = io.WriteString(w, strconv.FormatInt(posts.Load(), 10))
	})}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// collector is where the spans of one target go.
type collector struct {
	addr    string
	program *program
	process *process // once started
}

func newCollector(s *site) (*collector, error) {
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	return &collector{addr: addrs[0], program: &program{argv: []string{s.self, roleCollector, "-listen", addrs[0]}, env: []string{helperProcs},
		log: filepath.Join(s.dir, "collector.log")}}, nil
}

// start returns when it answers.
func (c *collector) start(ctx context.Context) (err error) {
	if c.process, err = c.program.start(); err != nil {
		return err
	}
	return c.process.await(ctx, func(time.Time) error {
		_, err := c.posts()
		return err
	})
}

func (c *collector) stop() {
	if c.process != nil {
		c.process.stop()
	}
}

// posts is how often spans were sent to it.
func (c *collector) posts() (n int64, err error) {
	client := &http.Client{Timeout: callGrace, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + c.addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = fmt.Fscan(response.Body, &n)
	return n, err
}

// check proves that spans were sent while it was measured what that costs.
func (c *collector) check() error {
	if c == nil {
		return nil
	}
	n, err := c.posts()
	if err == nil && n == 0 {
		err = errors.New("no spans were sent: it does not record what it should")
	}
	return err
}
