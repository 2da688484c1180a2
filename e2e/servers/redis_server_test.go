//go:build e2e

package servers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fsm-integrations/sidecar/e2e"
)

// redisServer is a Redis of one test, on a port of its own and without a disk, running or stopped. It keeps its port
// from one process to the next.
type redisServer struct {
	address string
	client  *redis.Client // the test's own connections

	t      *testing.T
	name   string // of the program
	config string // file
	log    *e2e.Output
	cmd    *exec.Cmd
	exited chan struct{}
}

// redisSetup says what kind of Redis; the zero value is a bare server.
type redisSetup struct {
	program            string     // empty: redis-server
	directives         []string   // lines of its configuration
	username, password string     // of the test's own client
	tls                *authority // nil: plain
}

func startRedis(t *testing.T, directives ...string) *redisServer {
	t.Helper()
	return redisSetup{directives: directives}.start(t)
}

func (c redisSetup) start(t *testing.T) *redisServer {
	t.Helper()
	dir := t.TempDir()
	r := &redisServer{address: e2e.FreeAddr(t), t: t, name: c.program, config: filepath.Join(dir, "redis.conf"), log: new(e2e.Output)}
	lines := []string{"dir " + dir, "bind 127.0.0.1", "protected-mode no", "daemonize no"}
	if r.name == "" {
		r.name = "redis-server"
		lines = append(lines, `save ""`, "appendonly no", "repl-diskless-sync yes", "repl-diskless-sync-delay 0")
	}
	_, port, _ := strings.Cut(r.address, ":")
	var secure *tls.Config
	if c.tls != nil {
		cert, key := c.tls.valid(t, "127.0.0.1")
		lines = append(lines, "port 0", "tls-port "+port, "tls-cert-file "+cert, "tls-key-file "+key, "tls-ca-cert-file "+c.tls.file)
		mine, myKey := c.tls.valid(t, "test")
		pair, err := tls.LoadX509KeyPair(mine, myKey)
		must(t, err)
		secure = &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		secure.RootCAs.AddCert(c.tls.cert)
	} else {
		lines = append(lines, "port "+port)
	}
	must(t, os.WriteFile(r.config, []byte(strings.Join(append(lines, c.directives...), "\n")+"\n"), 0o600))
	r.client = redis.NewClient(&redis.Options{Addr: r.address, Username: c.username, Password: c.password, TLSConfig: secure,
		MaxRetries: -1, DialerRetries: 1, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	t.Cleanup(r.finish)
	r.launch()
	return r
}

// launch starts the process, for the first time or again, and returns when it answers.
func (r *redisServer) launch() {
	r.t.Helper()
	cmd := exec.Command(program(r.t, r.name), r.config)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	must(r.t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	r.cmd, r.exited = cmd, exited
	e2e.Eventually(r.t, r.name+" to answer on "+r.address, func() bool {
		select {
		case <-exited:
			r.t.Fatalf("%s ended at once:\n%s", r.name, r.log)
		default:
		}
		c, err := net.Dial("tcp", r.address) // the client's library prints what it cannot reach
		if err != nil {
			return false
		}
		_ = c.Close()
		return r.client.Ping(r.t.Context()).Err() == nil
	})
}

// signal sends sig to the process; after one that ends it, gone waits.
func (r *redisServer) signal(sig syscall.Signal) { r.t.Helper(); must(r.t, r.cmd.Process.Signal(sig)) }

// end ends the process with sig and returns when it is gone.
func (r *redisServer) end(sig syscall.Signal) {
	r.t.Helper()
	r.signal(sig)
	<-r.exited
}

func (r *redisServer) finish() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill() // also ends a stopped one
		<-r.exited
	}
	_ = r.client.Close()
	if r.t.Failed() {
		r.t.Logf("last output of %s on %s:\n%s", r.name, r.address, r.log.Tail(1500))
	}
}

// do runs one command, which must succeed.
func (r *redisServer) do(args ...any) any {
	r.t.Helper()
	v, err := r.client.Do(r.t.Context(), args...).Result()
	if err != nil {
		r.t.Fatalf("redis %v: %v", args, err)
	}
	return v
}

// calls counts the commands run so far by name. What a script runs counts beside the script itself.
func (r *redisServer) calls() map[string]int {
	r.t.Helper()
	calls := map[string]int{}
	for line := range strings.Lines(fmt.Sprint(r.do("INFO", "commandstats"))) {
		name, rest, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":calls=")
		if found {
			count, _, _ := strings.Cut(rest, ",")
			n, err := strconv.Atoi(count)
			must(r.t, err)
			calls[name] = n
		}
	}
	return calls
}

// scripts is how often a sidecar asked Redis to run a script: all that a call costs it.
func scripts(calls map[string]int) int { return calls["eval"] + calls["evalsha"] }

// info reads one field of INFO.
func (r *redisServer) info(section, name string) string {
	r.t.Helper()
	for line := range strings.Lines(fmt.Sprint(r.do("INFO", section))) {
		if v, found := strings.CutPrefix(strings.TrimSpace(line), name+":"); found {
			return v
		}
	}
	return ""
}

// eventually is e2e.Eventually with a bound of its own; it returns how long it took.
func eventually(t *testing.T, within time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	e2e.Eventually(t, what, cond)
	took := time.Since(start)
	if took > within {
		t.Errorf("it took %s for %s, want at most %s", took.Round(time.Millisecond), what, within)
	}
	return took
}
