//go:build e2e

package servers

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// told are the Locations that applications were given.
type told struct {
	mu        sync.Mutex
	locations []string
}

func (l *told) add(location string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.locations = append(l.locations, location)
}

// offer has calls accepted by a pod until stop is closed, whatever happens to it.
func (l *told) offer(t *testing.T, s *e2e.Sidecar, pod int, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		path := []string{"/strict/orders", "/honours/orders"}[n%2]
		a, err := s.Try(t.Context(), "POST", path, fmt.Sprintf(`{"n":%d}`, n), jsonBody, keyField(fmt.Sprintf("%s-%d-%d", path[1:7], pod, n)), fmt.Sprint("X-Order-Key: ", n%5))
		if err == nil && a.Status == http.StatusAccepted {
			l.add(a.Header.Get("Location"))
		}
		e2e.Until(time.Now().Add(30 * time.Millisecond))
	}
}

// afflict kills a pod, or stops it, for a while that is sometimes short and sometimes longer than the others wait.
func afflict(s *e2e.Sidecar, kill bool, d time.Duration) {
	if kill {
		s.Kill9()
		e2e.Until(time.Now().Add(d))
		s.Restart()
		return
	}
	s.Signal(syscall.SIGSTOP)
	e2e.Until(time.Now().Add(d))
	s.Signal(syscall.SIGCONT)
}

// Pods are killed and stopped at random, under calls that are accepted by all of them: each of those ends, all pods show
// it, and a provider that does not honour keys gets none twice.
func TestAcceptedExchangesSurviveWhatHappensToPods(t *testing.T) {
	t.Parallel()
	honours, strict := newLater(), newLater()
	honours.takes, strict.takes = 400*time.Millisecond, 400*time.Millisecond // slower than calls are accepted, so that some wait
	close(honours.held)
	close(strict.held)
	f := startAsync(t, 3, startRedis(t).address, honours, strict)
	var l told
	var running sync.WaitGroup
	stop := make(chan struct{})
	for i, s := range f.pods {
		running.Go(func() { l.offer(t, s, i, stop) })
	}
	end := time.Now().Add(45 * time.Second)
	var troubled sync.WaitGroup
	for i, s := range f.pods[:2] { // the third is there all the time
		troubled.Go(func() {
			for n := i; time.Now().Before(end); n++ {
				e2e.Until(time.Now().Add(rand.N(3 * time.Second)))
				afflict(s, n%2 == 0, rand.N(16*time.Second))
			}
		})
	}
	troubled.Wait()
	close(stop)
	running.Wait()
	ends := waitEnds(t, l.locations, f.pods...)
	strict.wantOnce(t)
	t.Logf("%d accepted: %v; %v taken over", len(l.locations), ends, f.sum(`integration_accepted_takeovers_total{direction="in"}`))
}
