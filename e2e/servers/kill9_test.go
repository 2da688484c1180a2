//go:build e2e

package servers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// book is what applications and the operator were told, over all processes.
type book struct {
	mu        sync.Mutex
	letters   map[string]bool // X-Dead-Letter-ID
	locations map[string]bool // of 202
	discarded map[string]bool
}

func (b *book) note(a e2e.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id := a.LetterID(); id != "" {
		b.letters[id] = true
	}
	if a.Status == http.StatusAccepted {
		b.locations[a.Header.Get("Location")] = true
	}
}

// flaky is a provider that drops duplicates by key and fails now and then; effects counts what it did.
type flaky struct {
	mu      sync.Mutex
	effects map[string]int
}

func (f *flaky) answer(w http.ResponseWriter, r *http.Request, h e2e.Hit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := h.Header.Get("X-Idempotency-Key")
	if f.effects[key] == 0 {
		if h.N%3 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.effects[key]++
	}
	w.WriteHeader(http.StatusCreated)
}

// Fifty times kill -9 at a random moment, under calls that wait and calls that are accepted: whatever anybody was told is
// there afterwards, nothing that was discarded comes back, every start succeeds, and no key has two effects.
func TestFiftyKillsLoseNothingThatWasTold(t *testing.T) {
	const rounds, callers = 50, 12
	provider := &flaky{effects: map[string]int{}}
	up := e2e.NewUpstream(t, provider.answer)
	s := e2e.Start(t, e2e.Setup{LogLevel: "error", Adapters: e2e.Adapter("sales", up.URL, "idempotency: { honoured: true }", "retry: off") +
		e2e.Adapter("later", up.URL, "idempotency: { honoured: true }", "retry: off", "delivery: async")})
	b := &book{letters: map[string]bool{}, locations: map[string]bool{}, discarded: map[string]bool{}}
	for round := range rounds {
		var running sync.WaitGroup
		stop := make(chan struct{})
		for c := range callers {
			running.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					path := []string{"/sales/orders", "/later/orders"}[n%2]
					a, err := s.Try(t.Context(), "POST", path, "{}", fmt.Sprintf("X-Idempotency-Key: k-%d-%d-%d", round, c, n))
					if err == nil {
						b.note(a)
					}
				}
			})
		}
		discardOne(t, s, b)
		e2e.Until(time.Now().Add(time.Duration(20+rand.IntN(120)) * time.Millisecond))
		s.Kill9()
		close(stop)
		running.Wait()
		s.Restart() // fails the test when it does not become ready
	}
	waitDelivered(t, s, b)
	found := map[string]bool{}
	for _, id := range s.Letters(t, "--state", "all", "--limit", "5000") {
		found[id] = true
	}
	for id := range b.letters {
		if !found[id] {
			t.Errorf("letter %s, of which somebody was told, is gone", id)
		}
	}
	for id := range b.discarded {
		if state := s.Letter(t, id).State; state != "discarded" {
			t.Errorf("letter %s was discarded and is %s", id, state)
		}
	}
	provider.mu.Lock()
	defer provider.mu.Unlock()
	for key, n := range provider.effects {
		if n > 1 {
			t.Errorf("%s took effect %d times", key, n)
		}
	}
	t.Logf("%d kills: %d letters told, %d accepted, %d discarded, %d effects; none lost, none doubled, none came back",
		rounds, len(b.letters), len(b.locations), len(b.discarded), len(provider.effects))
}

func discardOne(t *testing.T, s *e2e.Sidecar, b *book) {
	t.Helper()
	for _, id := range s.Letters(t, "--limit", "1") {
		s.MustCommand(t, "dlq", "discard", id)
		b.discarded[id] = true
	}
}

// waitDelivered waits until every accepted exchange has ended: delivered, or failed with a letter.
func waitDelivered(t *testing.T, s *e2e.Sidecar, b *book) {
	t.Helper()
	for location := range b.locations {
		e2e.Eventually(t, "the end of "+location, func() bool {
			a := s.Get(t, location)
			if a.Status != http.StatusOK {
				t.Fatalf("%s is gone: %d", location, a.Status)
			}
			var x struct {
				State    string `json:"state"`
				LetterID string `json:"letter_id"`
			}
			must(t, json.Unmarshal([]byte(a.Body), &x))
			if x.State == "failed" {
				b.letters[x.LetterID] = true // "" is never found
			}
			return x.State == "delivered" || x.State == "failed"
		})
	}
}
