//go:build e2e

package servers

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// Ten thousand failed calls while the broker is killed three times and the sidecar twice: every letter that an
// application was told of is in the topic in the end.
func TestEveryLetterOfTheBinaryReachesKafka(t *testing.T) {
	const letters, callers = 10_000, 32
	kafka := kafkaSetup{}.start(t)
	kafka.create("integration.dlq", 3, 3<<20)
	up := e2e.NewUpstream(t, e2e.Status(503))
	s := e2e.Start(t, e2e.Setup{LogLevel: "error", Adapters: e2e.Adapter("sales", up.URL, "retry: off"), DLQ: "kafka: { brokers: [" + kafka.address + "] }"})
	var mu sync.Mutex
	told := map[string]bool{}
	var running sync.WaitGroup
	var n atomic.Int64
	for range callers {
		running.Go(func() {
			for n.Add(1) <= letters {
				a, err := s.Try(t.Context(), "POST", "/sales/orders", fmt.Sprintf(`{"n":%d}`, n.Load()))
				if err != nil || a.LetterID() == "" { // the sidecar was being killed: nobody was told anything
					n.Add(-1)
					e2e.Until(time.Now().Add(10 * time.Millisecond))
					continue
				}
				mu.Lock()
				told[a.LetterID()] = true
				mu.Unlock()
			}
		})
	}
	kept := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(told)
	}
	for round := range 3 {
		e2e.Eventually(t, "letters of the round", func() bool { return kept() > (round+1)*letters/5 })
		kafka.end(syscall.SIGKILL)
		if round > 0 {
			s.Kill9()
			s.Restart()
		}
		kafka.launch()
	}
	running.Wait()
	s.Term()
	if code := s.Wait(time.Minute); code != 0 {
		t.Errorf("the sidecar ended with code %d", code)
	}
	arrived := map[string]int{}
	all := kafka.records("integration.dlq")
	for _, r := range all {
		for _, h := range r.Headers {
			if h.Key == "letter-id" {
				arrived[string(h.Value)]++
			}
		}
	}
	lost := 0
	for id := range told {
		if arrived[id] == 0 {
			lost++
		}
	}
	t.Logf("%d letters told, %d in the topic, %d missing, %d arrived again; 3 kills of the broker, 2 of the sidecar", len(told), len(arrived), lost, len(all)-len(arrived))
	if lost > 0 {
		t.Errorf("%d letters are not in the topic", lost)
	}
}

func TestTheBinaryTellsAnAlertmanagerOfLettersAndOutages(t *testing.T) {
	t.Parallel()
	m := newAlertmanager(t)
	m.start(t)
	up := e2e.NewUpstream(t, e2e.Status(503))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL, "retry: off", "breaker: { failure_threshold: 3 }"), DLQ: "alerts: { alertmanager: http://" + m.address + " }"})
	for range 5 {
		s.Post(t, "/sales/orders", "{}")
	}
	for _, want := range []string{"IntegrationLetters server_error", "IntegrationLetters circuit_open", "IntegrationBreakerOpen "} {
		e2e.Eventually(t, "people to be told of "+want, func() bool { return m.told()["firing "+want] > 0 })
	}
	for _, a := range m.active(t) {
		if a.Labels["adapter_id"] != "sales" || a.Annotations["look"] == "" {
			t.Errorf("alert %+v", a)
		}
	}
	s.MustCommand(t, "breaker", "close", "sales")
	for _, id := range s.Letters(t) {
		s.MustCommand(t, "dlq", "discard", id)
	}
	for _, want := range []string{"IntegrationLetters server_error", "IntegrationLetters circuit_open", "IntegrationBreakerOpen "} {
		e2e.Eventually(t, "the all-clear of "+want, func() bool { return m.told()["resolved "+want] > 0 })
	}
}
