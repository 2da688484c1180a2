package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFullSpoolDoesNotStopTheService(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	good := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{DLQ: "max_bytes: 1MiB", Adapters: Adapter("sales", up.URL) + Adapter("erp", good.URL)})
	body := strings.Repeat("x", 100<<10)
	var kept []string
	refused := 0
	for i := range 40 {
		a := s.Post(t, "/sales/orders", body, fmt.Sprint("X-Idempotency-Key: k", i))
		a.WantStatus(t, 500)
		switch {
		case a.LetterID() != "" && a.Header.Get("X-Dead-Letter") == "":
			kept = append(kept, a.LetterID())
		case a.LetterID() == "" && a.Header.Get("X-Dead-Letter") == "unavailable":
			refused++
		default:
			t.Fatalf("letter id %q and X-Dead-Letter %q, want one of them", a.LetterID(), a.Header.Get("X-Dead-Letter"))
		}
		s.Post(t, "/erp/orders", "{}", fmt.Sprint("X-Idempotency-Key: k", i)).WantStatus(t, 200)
	}
	if len(kept) == 0 || refused == 0 || len(kept) > 10 {
		t.Errorf("%d letters of 100 KiB kept and %d refused with max_bytes of 1 MiB", len(kept), refused)
	}
	s.Kill9()
	s.Restart()
	got := s.Letters(t)
	for _, id := range kept {
		if !slices.Contains(got, id) {
			t.Errorf("letter %s, of which the application was told, is gone", id)
		}
	}
	s.Post(t, "/erp/orders", "{}").WantStatus(t, 200)
}

func TestNoLetterIsLostInTwentyCrashes(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	told := &letterBook{ids: map[string]bool{}}
	var starts []string
	for round := range 20 {
		starts = append(starts, time.Now().UTC().Format(time.RFC3339Nano))
		before := told.count()
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 16 {
			load.Go(func() { told.fill(ctx, s) })
		}
		Eventually(t, fmt.Sprintf("letters in round %d", round+1), func() bool { return told.count() > before+50 })
		s.Kill9()
		cancel()
		load.Wait()
		s.Restart() // fails the test unless start-up is clean
	}
	found := map[string]bool{}
	for i, start := range starts {
		window := []string{"--limit", "1000", "--since", start}
		if i+1 < len(starts) {
			window = append(window, "--until", starts[i+1])
		}
		for _, id := range s.Letters(t, window...) {
			found[id] = true
		}
	}
	if lost := told.missing(found); len(lost) > 0 || told.count() < 1000 {
		t.Errorf("%d of %d letters the application was told about are gone, for example %v", len(lost), told.count(), lost[:min(3, len(lost))])
	}
}

// letterBook is what an application remembers of the letters it was told about.
type letterBook struct {
	mu  sync.Mutex
	ids map[string]bool
}

// fill makes failing calls until ctx ends.
func (b *letterBook) fill(ctx context.Context, s *Sidecar) {
	for ctx.Err() == nil {
		if a, err := s.Try(ctx, "POST", "/sales/orders", strings.Repeat("letter ", 100)); err == nil && a.LetterID() != "" {
			b.mu.Lock()
			b.ids[a.LetterID()] = true
			b.mu.Unlock()
		}
	}
}

func (b *letterBook) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ids)
}

func (b *letterBook) missing(found map[string]bool) (lost []string) {
	for id := range b.ids {
		if !found[id] {
			lost = append(lost, id)
		}
	}
	return lost
}
