//go:build e2e

package servers

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// fleet is several sidecars with one configuration, as the pods of one application.
type fleet struct {
	pods []*e2e.Sidecar
	t    *testing.T
}

func startFleet(t *testing.T, n int, c e2e.Setup) *fleet {
	t.Helper()
	f := &fleet{t: t}
	for range n {
		f.pods = append(f.pods, e2e.Start(t, c))
	}
	return f
}

// onRedis is the redis block for some addresses; more are further keys.
func onRedis(addresses string, more ...string) string {
	return "redis: { " + strings.Join(append([]string{"addresses: [" + addresses + "]"}, more...), ", ") + " }"
}

// fromPod is the field by which the provider knows through which pod a call came.
func fromPod(i int) string { return fmt.Sprint("X-Pod: ", i) }

func keyField(key string) string { return "X-Idempotency-Key: " + key }

const jsonBody = "Content-Type: application/json"

// same makes each identical POST each times through every pod at once, runs meanwhile, and returns the answers by
// pod. A call that was cut off has status 0.
func (f *fleet) same(each int, target, body, key string, meanwhile func()) [][]e2e.Answer {
	answers := make([][]e2e.Answer, len(f.pods))
	var running sync.WaitGroup
	for pod, s := range f.pods {
		answers[pod] = make([]e2e.Answer, each)
		for i := range each {
			running.Go(func() {
				answers[pod][i], _ = s.Try(f.t.Context(), "POST", target, body, jsonBody, keyField(key), fromPod(pod))
			})
		}
	}
	meanwhile()
	running.Wait()
	return answers
}

// waitInFlight returns when every pod has n calls in flight.
func (f *fleet) waitInFlight(adapter string, n float64) {
	f.t.Helper()
	for _, s := range f.pods {
		e2e.Eventually(f.t, "all calls to be in flight", func() bool {
			return s.Metrics(f.t)[`integration_in_flight_requests{adapter_id="`+adapter+`"}`] >= n
		})
	}
}

// waitShared returns, with the time it took, when every pod uses Redis, or when none does.
func (f *fleet) waitShared(up bool, within time.Duration) time.Duration {
	f.t.Helper()
	want := 0.0
	if up {
		want = 1
	}
	return eventually(f.t, within, fmt.Sprintf("integration_redis_up to be %v in every pod", want), func() bool {
		for _, s := range f.pods {
			if v, present := s.Metrics(f.t)["integration_redis_up"]; !present || v != want {
				return false
			}
		}
		return true
	})
}

// sum adds up a series over all pods that are running.
func (f *fleet) sum(series string) float64 {
	f.t.Helper()
	sum := 0.0
	for _, s := range f.pods {
		sum += s.Metrics(f.t)[series]
	}
	return sum
}

// redisCheck is the check "redis" of /health.
func redisCheck(t *testing.T, s *e2e.Sidecar) (status, message string) {
	t.Helper()
	var health struct {
		Checks map[string]struct{ Status, Message string }
	}
	a := s.Get(t, "http://"+s.Probes+"/health")
	must(t, json.Unmarshal([]byte(a.Body), &health))
	return health.Checks["redis"].Status, health.Checks["redis"].Message
}

// redisStatus is what `sidecar status` says of Redis.
type redisStatus struct {
	Up                  bool
	Since, Why, Warning string
}

func statusOfRedis(t *testing.T, s *e2e.Sidecar) redisStatus {
	t.Helper()
	var status struct{ Redis *redisStatus }
	out := s.MustCommand(t, "status", "-o", "json").Stdout
	must(t, json.Unmarshal([]byte(out), &status))
	if status.Redis == nil {
		t.Fatalf("status says nothing of redis: %s", out)
	}
	return *status.Redis
}

// wantShared fails the test unless every pod says on all its channels that it uses Redis, or that it cannot.
func (f *fleet) wantShared(up bool) {
	f.t.Helper()
	for i, s := range f.pods {
		status, message := redisCheck(f.t, s)
		said := statusOfRedis(f.t, s)
		if up && (status != "pass" || !said.Up || said.Why != "") {
			f.t.Errorf("pod %d: health says %q (%s) and status %+v, want pass and up", i, status, message, said)
		}
		if !up && (status != "warn" || message == "" || said.Up || said.Why == "" || said.Since == "") {
			f.t.Errorf("pod %d: health says %q (%s) and status %+v, want warn and down, with the reason", i, status, message, said)
		}
		s.Get(f.t, "http://"+s.Probes+"/readyz").WantStatus(f.t, 200)
	}
}
