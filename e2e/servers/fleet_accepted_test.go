//go:build e2e

package servers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// later is a provider that counts what arrives by key, and can be made to hold its answers.
type later struct {
	mu     sync.Mutex
	counts map[string]int
	held   chan struct{} // closed: answers are given
	takes  time.Duration // each
}

func newLater() *later { return &later{counts: map[string]int{}, held: make(chan struct{})} }

func (l *later) answer(w http.ResponseWriter, r *http.Request, h e2e.Hit) {
	l.mu.Lock()
	l.counts[h.Header.Get("X-Idempotency-Key")]++
	l.mu.Unlock()
	select {
	case <-l.held:
	case <-r.Context().Done():
	}
	e2e.Until(time.Now().Add(l.takes))
	w.WriteHeader(http.StatusCreated)
}

func (l *later) arrived() (keys int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.counts)
}

// wantOnce fails the test when a key arrived more than once.
func (l *later) wantOnce(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range l.counts {
		if n > 1 {
			t.Errorf("%s arrived %d times at a provider that does not honour keys", key, n)
		}
	}
}

// kept is what a Location shows.
type kept struct {
	State    string `json:"state"`
	Status   int    `json:"status"`
	LetterID string `json:"letter_id"`
}

// at reads a Location; the zero value when there is none.
func at(t *testing.T, s *e2e.Sidecar, location string) (x kept) {
	t.Helper()
	if a := s.Get(t, location); a.Status == http.StatusOK {
		must(t, json.Unmarshal([]byte(a.Body), &x))
	}
	return x
}

// accept has calls accepted, and returns their Locations.
func accept(t *testing.T, s *e2e.Sidecar, path, key string, n int) (locations []string) {
	t.Helper()
	for i := range n {
		a := s.Post(t, path, fmt.Sprintf(`{"n":%d}`, i), jsonBody, keyField(fmt.Sprint(key, "-", i)))
		a.WantStatus(t, http.StatusAccepted)
		locations = append(locations, a.Header.Get("Location"))
	}
	return locations
}

// waitTaken waits until pods have taken over n exchanges, which takes longer than one patience.
func (f *fleet) waitTaken(n float64, pods ...*e2e.Sidecar) time.Duration {
	f.t.Helper()
	start := time.Now()
	e2e.Until(start.Add(8 * time.Second)) // of ten that the silent one has
	e2e.Eventually(f.t, fmt.Sprint(n, " exchanges to be taken over"), func() bool {
		taken := 0.0
		for _, s := range pods {
			taken += s.Metrics(f.t)[`integration_accepted_takeovers_total{direction="in"}`]
		}
		return taken >= n
	})
	return time.Since(start)
}

// wantShownByAll shows that every pod knows of a call that one has accepted, and of its end.
func (f *fleet) wantShownByAll(path string) {
	f.t.Helper()
	location := accept(f.t, f.pods[0], path, "shown", 1)[0]
	if ends := waitEnds(f.t, []string{location}, f.pods...); ends["delivered"] != 1 {
		f.t.Errorf("%v", ends)
	}
}

func wantCopied(t *testing.T, s *e2e.Sidecar) {
	t.Helper()
	e2e.Eventually(t, "every accepted exchange to have its copy", func() bool {
		n, present := s.Metrics(t)["integration_accepted_without_copy"]
		return present && n == 0
	})
}

// wantIdle waits until no try is under way, and all that came of them is known to the others.
func wantIdle(t *testing.T, s *e2e.Sidecar, adapter string) {
	t.Helper()
	e2e.Eventually(t, "no exchange to be under way", func() bool {
		m := s.Metrics(t)
		return m["integration_accepted_without_copy"] == 0 && m[`integration_accepted_exchanges{adapter_id="`+adapter+`",state="running"}`] == 0
	})
}

// startAsync starts pods with an adapter whose provider honours keys, and one whose does not.
func startAsync(t *testing.T, pods int, redis string, honours, strict *later) *fleet {
	t.Helper()
	return startAsyncOn(t, pods, onRedis(redis), honours, strict)
}

// startAsyncOn is startAsync with a redis block.
func startAsyncOn(t *testing.T, pods int, redis string, honours, strict *later) *fleet {
	t.Helper()
	f := startFleet(t, pods, e2e.Setup{Top: redis, LogLevel: "error",
		Adapters: e2e.Adapter("honours", e2e.NewUpstream(t, honours.answer).URL, "delivery: async", "retry: off", "idempotency: { honoured: true }", "timeout: { attempt: 60s, total: 100s }") +
			e2e.Adapter("strict", e2e.NewUpstream(t, strict.answer).URL, "delivery: async", "retry: off", "timeout: { attempt: 60s, total: 100s }")})
	f.waitShared(true, 5*time.Second)
	return f
}

// waitEnds waits until every exchange has ended, as every one of the pods shows it, and counts the ends.
func waitEnds(t *testing.T, locations []string, pods ...*e2e.Sidecar) map[string]int {
	t.Helper()
	ends := map[string]int{}
	for _, location := range locations {
		var x kept
		e2e.Eventually(t, "the end of "+location, func() bool {
			for _, s := range pods {
				if x = at(t, s, location); x.State != "delivered" && x.State != "failed" {
					return false
				}
			}
			return true
		})
		if x.State == "failed" && x.LetterID == "" {
			t.Errorf("%s failed and left no letter", location)
		}
		ends[x.State]++
	}
	return ends
}

func TestTheExchangesOfAKilledPodAreDeliveredByAnother(t *testing.T) {
	t.Parallel()
	const each, underWay = 100, 8
	honours, strict := newLater(), newLater()
	f := startAsync(t, 3, startRedis(t).address, honours, strict)
	victim, others := f.pods[0], f.pods[1:]
	sure := accept(t, victim, "/honours/orders", "h", each)
	doubted := accept(t, victim, "/strict/orders", "s", each)
	e2e.Eventually(t, "some to be under way", func() bool { return honours.arrived() == underWay && strict.arrived() == underWay })
	wantCopied(t, victim)
	if x := at(t, others[0], sure[each-1]); x.State != "accepted" {
		t.Errorf("another pod shows %+v", x)
	}
	victim.Kill9()
	close(honours.held)
	close(strict.held)
	took := f.waitTaken(2*each, others...)
	if ends := waitEnds(t, sure, others...); ends["delivered"] != each {
		t.Errorf("of a provider that honours keys %v, want all delivered", ends)
	}
	if ends := waitEnds(t, doubted, others...); ends["failed"] != underWay || ends["delivered"] != each-underWay {
		t.Errorf("of a provider that does not honour keys %v, want the %d under way as letters", ends, underWay)
	}
	strict.wantOnce(t)
	if n := strict.arrived() + honours.arrived(); n != 2*each {
		t.Errorf("%d keys arrived, want all %d", n, 2*each)
	}
	letters := 0
	for _, s := range others {
		for _, id := range s.Letters(t) {
			if l := s.Letter(t, id); l.Error.Type != "outcome_unknown" || l.Metadata.AdapterID != "strict" {
				t.Errorf("letter %+v", l.Error)
			}
			letters++
		}
	}
	if letters != underWay {
		t.Errorf("%d letters, want %d", letters, underWay)
	}
	t.Logf("%d exchanges taken over %s after the kill", 2*each, took.Round(time.Millisecond))
	victim.Restart() // it finds that nothing is its own any more
	e2e.Eventually(t, "the former owner to drop what it has", func() bool {
		m := victim.Metrics(t)
		return m[`integration_accepted_exchanges{adapter_id="honours",state="accepted"}`]+m[`integration_accepted_exchanges{adapter_id="strict",state="accepted"}`] == 0
	})
	waitEnds(t, append(sure, doubted...), victim)
	strict.wantOnce(t)
}

// The pod is not gone but stopped, in the middle of its work, and goes on as if nothing had been.
func TestAPodThatWasStoppedSendsNothingThatWasTakenOver(t *testing.T) {
	t.Parallel()
	const each, underWay = 100, 8
	honours, strict := newLater(), newLater()
	f := startAsync(t, 2, startRedis(t).address, honours, strict)
	victim, heir := f.pods[0], f.pods[1]
	doubted := accept(t, victim, "/strict/orders", "s", each)
	e2e.Eventually(t, "some to be under way", func() bool { return strict.arrived() == underWay })
	wantCopied(t, victim)
	victim.Signal(syscall.SIGSTOP)
	close(strict.held)
	f.waitTaken(each, heir)
	go func() {
		e2e.Until(time.Now().Add(300 * time.Millisecond)) // in the middle of the heir's work
		victim.Signal(syscall.SIGCONT)
	}()
	ends := waitEnds(t, doubted, heir)
	if ends["delivered"] < each-underWay {
		t.Errorf("%v", ends)
	}
	waitEnds(t, doubted, victim)
	e2e.Until(time.Now().Add(3 * time.Second)) // what the former owner might still send
	strict.wantOnce(t)
	if strict.arrived() != each {
		t.Errorf("%d arrived, want %d", strict.arrived(), each)
	}
	t.Logf("%v", ends)
}
