package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// redis is the redis-server of one target. Its port is a free one, never the usual 6379: what a Debian service holds
// there is not the bench's to use.
type redis struct {
	addr    string
	about   string
	program *program
	process *process // once started
}

// newRedis is a redis-server that keeps nothing on disk: how often a Redis syncs is a choice of its operator, and no
// cost of the sidecar.
func newRedis(ctx context.Context, s *site) (*redis, error) {
	binary, about, err := installed(ctx, nameRedis, "redis-server", "--version")
	if err != nil {
		return nil, err
	}
	dir, err := s.folder("redis")
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		return nil, err
	}
	about, _, _ = strings.Cut(about, " sha=")
	return &redis{addr: addrs[0], about: about, program: &program{
		argv: []string{binary, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", dir},
		log:  filepath.Join(s.dir, "redis.log"),
	}}, nil
}

// start returns when the server answers.
func (r *redis) start(ctx context.Context) (err error) {
	if r.process, err = r.program.start(); err != nil {
		return err
	}
	return r.process.await(ctx, func(time.Time) error {
		_, err := r.info()
		return err
	})
}

func (r *redis) stop() {
	if r.process != nil {
		r.process.stop()
	}
}

// read takes the server's meters.
func (r *redis) read() (*redisUse, error) {
	text, err := r.info()
	if err != nil {
		return nil, fmt.Errorf("ask Redis for its counters: %w", err)
	}
	use, err := parseInfo(text)
	if err != nil {
		return nil, err
	}
	use.CPU, err = cpuOf(r.process.pid)
	return use, err
}

// info is what the server says of itself, asked on a connection of its own.
func (r *redis) info() (string, error) {
	conn, err := net.DialTimeout("tcp", r.addr, callGrace)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(callGrace)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "INFO all\r\n"); err != nil {
		return "", err
	}
	from := bufio.NewReader(conn)
	var size int
	if _, err := fmt.Fscanf(from, "$%d\r\n", &size); err != nil {
		return "", fmt.Errorf("the answer to INFO begins with no length: %w", err)
	}
	text := make([]byte, size)
	_, err = io.ReadFull(from, text)
	return string(text), err
}
