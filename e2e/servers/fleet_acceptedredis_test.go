//go:build e2e

package servers

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

func TestCallsAreAcceptedWithoutRedisAndCopiedLater(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	honours, strict := newLater(), newLater()
	f := startAsync(t, 2, redis.address, honours, strict)
	victim, heir := f.pods[0], f.pods[1]
	victim.MustCommand(t, "breaker", "open", "strict")
	redis.end(syscall.SIGTERM)
	f.waitShared(false, 3*time.Second)
	locations := accept(t, victim, "/strict/orders", "s", 50)
	if n := victim.Metrics(t)["integration_accepted_without_copy"]; n != 50 {
		t.Errorf("%v have no copy, want 50", n)
	}
	if a := heir.Get(t, locations[0]); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a pod that cannot know says %d", a.Status)
	}
	redis.launch()
	f.waitShared(true, 5*time.Second)
	wantCopied(t, victim)
	redis.do("FLUSHALL")
	e2e.Eventually(t, "the copies to be made again", func() bool { return redis.do("DBSIZE").(int64) > 50 })
	wantIdle(t, victim, "strict")
	close(strict.held)
	victim.Kill9()
	f.waitTaken(50, heir)
	if ends := waitEnds(t, locations, heir); ends["delivered"] != 50 {
		t.Errorf("%v", ends)
	}
	strict.wantOnce(t)
}

func TestAFullRedisTakesNoCopiesAndNoPromise(t *testing.T) {
	t.Parallel()
	redis := startRedis(t, "maxmemory-policy noeviction")
	honours, strict := newLater(), newLater()
	f := startAsync(t, 2, redis.address, honours, strict)
	redis.do("CONFIG", "SET", "maxmemory", "1")
	locations := accept(t, f.pods[0], "/strict/orders", "s", 20)
	if n := f.pods[0].Metrics(t)["integration_accepted_without_copy"]; n == 0 {
		t.Error("a full Redis has all copies")
	}
	redis.do("CONFIG", "SET", "maxmemory", "0")
	f.waitShared(true, 5*time.Second)
	wantCopied(t, f.pods[0])
	close(strict.held)
	if ends := waitEnds(t, locations, f.pods...); ends["delivered"] != 20 {
		t.Errorf("%v", ends)
	}
	strict.wantOnce(t)
}

// What the new master did not hear of is copied again, and nobody is taken for dead because nobody could say that he lives.
func TestAFailoverOfRedisMovesNothing(t *testing.T) {
	t.Parallel()
	honours, strict := newLater(), newLater()
	w := startWatched(t, 1)
	f := startAsyncOn(t, 2, onRedis(addresses(w.sentinels), "master_name: "+w.name), honours, strict)
	victim, heir := f.pods[0], f.pods[1]
	locations := accept(t, victim, "/strict/orders", "s", 50)
	wantCopied(t, victim)
	w.master.end(syscall.SIGKILL)
	w.waitFailover(t)
	f.waitShared(true, 10*time.Second)
	wantCopied(t, victim)
	e2e.Until(time.Now().Add(3 * time.Second)) // both have said that they live
	if moved := f.sum(`integration_accepted_takeovers_total{direction="in"}`); moved != 0 {
		t.Errorf("%v were taken over from a pod that lives", moved)
	}
	victim.Kill9()
	close(strict.held)
	f.waitTaken(50, heir)
	if ends := waitEnds(t, locations, heir); ends["failed"] > 8 {
		t.Errorf("%v, want no more letters than were under way", ends)
	}
	strict.wantOnce(t)
}
