package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// newNginx is nginx with one worker and kept connections on both sides. Its limit of requests per connection is
// lifted: else it would close each connection after 1000 calls, and that is not what is compared.
func newNginx(ctx context.Context, s *site) (*target, error) {
	binary, about, err := installed(ctx, nameNginx, "nginx", "-v")
	if err != nil {
		return nil, err
	}
	dir, err := s.folder(nameNginx)
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // else the worker could not enter the temporary directory
	}
	config := strings.NewReplacer("{user}", user, "{dir}", dir, "{listen}", addrs[0], "{upstream}", s.upstream,
		"{keep}", strconv.Itoa(max(64, 2*s.conns))).Replace(nginxConfig)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return &target{name: nameNginx, about: about, addr: addrs[0], program: &program{
		argv: []string{binary, "-p", dir, "-c", file, "-e", "stderr"},
		log:  filepath.Join(s.dir, "nginx.log"),
	}}, nil
}

const nginxConfig = `daemon off;
{user}
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  upstream bench {
    server {upstream};
    keepalive {keep};
    keepalive_requests 1000000000;
  }
  server {
    listen {listen};
    location / {
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`

// newHAProxy is HAProxy with one thread and kept connections on both sides, in the foreground without a master.
func newHAProxy(ctx context.Context, s *site) (*target, error) {
	binary, about, err := installed(ctx, nameHAProxy, "haproxy", "-v")
	if err != nil {
		return nil, err
	}
	dir, err := s.folder(nameHAProxy)
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	config := strings.NewReplacer("{listen}", addrs[0], "{upstream}", s.upstream).Replace(haproxyConfig)
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return &target{name: nameHAProxy, about: about, addr: addrs[0], program: &program{
		argv: []string{binary, "-db", "-q", "-f", file},
		log:  filepath.Join(s.dir, "haproxy.log"),
	}}, nil
}

const haproxyConfig = `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend bench
  bind {listen}
  default_backend bench
backend bench
  server upstream {upstream}
`

// installed finds the program a target needs and asks for its version.
func installed(ctx context.Context, target, name, versionFlag string) (path, about string, err error) {
	// Debian puts servers where an ordinary user's PATH does not look.
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err = exec.LookPath(candidate); err == nil {
			break
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("%s is not installed: run bench/setup.sh, or leave it out with -without %s", name, target)
	}
	output, err := exec.CommandContext(ctx, path, versionFlag).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%s %s: %w: %s", path, versionFlag, err, output)
	}
	first, _, _ := strings.Cut(string(output), "\n")
	first, _, _ = strings.Cut(first, " - ") // HAProxy adds its address
	return path, strings.TrimPrefix(first, "nginx version: "), nil
}
