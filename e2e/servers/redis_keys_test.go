//go:build e2e

package servers

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/idempotency/storetest"
	"github.com/fsm-integrations/sidecar/internal/shared"
)

// A shiftedRedis is a real Redis on a clock that the test moves on.
type shiftedRedis struct {
	address string
	file    *os.File // the shift, in nanoseconds; see testdata/shiftedclock.c

	mu      sync.Mutex
	shifted time.Duration
}

// startShiftedRedis starts a Redis with a small library in front of its clock. libfaketime does not do: it and the
// jemalloc of Debian's Redis wait for each other at start.
func startShiftedRedis(t *testing.T) *shiftedRedis {
	t.Helper()
	dir := t.TempDir()
	library := filepath.Join(dir, "shiftedclock.so")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, "testdata/shiftedclock.c").CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	file, err := os.Create(filepath.Join(dir, "shift"))
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	r := &shiftedRedis{address: e2e.FreeAddr(t), file: file}
	r.Advance(0)
	_, port, err := net.SplitHostPort(r.address)
	must(t, err)
	t.Setenv("SHIFTED_CLOCK", file.Name())
	t.Setenv("LD_PRELOAD", library)
	serve(t, r.address, "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	must(t, os.Unsetenv("LD_PRELOAD")) // for nobody else
	return r
}

// Advance moves the clock on, for the server and for Now.
func (r *shiftedRedis) Advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shifted += d
	if _, err := r.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(r.shifted)), 0); err != nil {
		panic(err)
	}
}

// Now is the server's time.
func (r *shiftedRedis) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.shifted)
}

// store is one process's store, in a space of its own on the server.
func (r *shiftedRedis) store(t *testing.T, prefix string) *idempotency.Redis {
	t.Helper()
	client, err := shared.Open(shared.Config{Addresses: []string{r.address}, Prefix: prefix, Budget: time.Second})
	must(t, err)
	store := idempotency.NewRedis(client, idempotency.RedisOptions{MaxBody: 1 << 20, Now: r.Now})
	t.Cleanup(func() {
		_ = store.Close()
		_ = client.Close()
	})
	return store
}

func TestRedisKeysAreKeptAsByEveryStore(t *testing.T) {
	r := startShiftedRedis(t)
	number := 0
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		number++
		return storetest.Subject{Store: r.store(t, fmt.Sprint("test", number)), Advance: r.Advance}
	})
}

func TestRedisKeysOfADeadProcessAreUnknownAfterTheLiveness(t *testing.T) {
	r := startShiftedRedis(t)
	dead, b := r.store(t, "test"), r.store(t, "test")
	q := idempotency.Request{Scope: idempotency.NewScope("t", "a", "POST", "/", "k"), LetterID: "letter", Lease: time.Hour}
	former := beginKey(t, dead, q, idempotency.Granted)
	done := beginKey(t, b, q, idempotency.InFlight).Done
	must(t, dead.Close())
	r.Advance(10 * time.Second)
	<-done
	if d := beginKey(t, b, q, idempotency.Unknown); d.LetterID != "letter" {
		t.Errorf("letter %q", d.LetterID)
	}
	q.Resend = true
	present := beginKey(t, b, q, idempotency.Granted)
	must(t, dead.Finish(t.Context(), q.Scope, former.Owner, &idempotency.Outcome{Status: 500}, time.Hour))
	must(t, b.Finish(t.Context(), q.Scope, present.Owner, &idempotency.Outcome{Status: 201}, time.Hour))
	if d := beginKey(t, r.store(t, "test"), q, idempotency.Replay); d.Outcome.Status != 201 {
		t.Errorf("replayed %+v", d.Outcome)
	}
}

func beginKey(t *testing.T, s idempotency.Store, q idempotency.Request, want idempotency.Verdict) idempotency.Decision {
	t.Helper()
	d, err := s.Begin(t.Context(), q)
	must(t, err)
	if d.Verdict != want {
		t.Fatalf("verdict %d, want %d", d.Verdict, want)
	}
	return d
}
