//go:build e2e

package servers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
	"github.com/fsm-integrations/sidecar/internal/alert"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

// alertmanager is a server of one test, and those whom it notifies.
type alertmanager struct {
	address string
	config  string // file
	storage string // directory

	mu       sync.Mutex
	notified []notification
}

// notification is what the Alertmanager tells a receiver, as far as it is looked at.
type notification struct {
	Status string  `json:"status"`
	Alerts []alarm `json:"alerts"`
}

// alarm is an alert as the Alertmanager tells it.
type alarm struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorURL string            `json:"generatorURL"`
}

// newAlertmanager prepares one that notifies as soon as it can; start starts it.
func newAlertmanager(t *testing.T) *alertmanager {
	t.Helper()
	dir := t.TempDir()
	m := &alertmanager{address: e2e.FreeAddr(t), config: filepath.Join(dir, "alertmanager.yml"), storage: filepath.Join(dir, "data")}
	receiver := httptest.NewServer(http.HandlerFunc(m.receive))
	t.Cleanup(receiver.Close)
	must(t, os.WriteFile(m.config, fmt.Appendf(nil, `
route: { receiver: people, group_by: [alertname, adapter_id, error_type], group_wait: 0s, group_interval: 200ms, repeat_interval: 1h }
receivers:
  - name: people
    webhook_configs: [ { url: %q, send_resolved: true } ]
`, receiver.URL), 0o600))
	return m
}

func (m *alertmanager) start(t *testing.T) {
	t.Helper()
	serve(t, m.address, "prometheus-alertmanager", "--config.file="+m.config, "--storage.path="+m.storage,
		"--web.listen-address="+m.address, "--cluster.listen-address=")
}

func (m *alertmanager) receive(w http.ResponseWriter, r *http.Request) {
	var n notification
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notified = append(m.notified, n)
}

// told counts the notifications by status and error type.
func (m *alertmanager) told() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := map[string]int{}
	for _, n := range m.notified {
		for _, a := range n.Alerts {
			count[n.Status+" "+a.Labels["alertname"]+" "+a.Labels["error_type"]]++
		}
	}
	return count
}

// active are the alerts that fire, by the server's own word.
func (m *alertmanager) active(t *testing.T) []alarm {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.address+"/api/v2/alerts?active=true", nil)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	var list []alarm
	must(t, json.NewDecoder(response.Body).Decode(&list))
	return list
}

// open is what an alerter is told is open.
type open struct {
	mu     sync.Mutex
	groups []alert.Group
}

func (o *open) set(a *alert.Alerter, groups ...alert.Group) {
	o.mu.Lock()
	o.groups = groups
	o.mu.Unlock()
	a.Kick()
}

func (o *open) read() []alert.Group {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.groups
}

// startAlerter tells m, by a URL that ends in a slash, as people write it.
func startAlerter(t *testing.T, m *alertmanager, interval time.Duration) (*alert.Alerter, *open) {
	t.Helper()
	o := new(open)
	a := alert.New(alert.Config{Alertmanager: "http://" + m.address + "/", GroupInterval: interval, Source: o.read,
		Admin: "127.0.0.1:9901", Instance: "shop-7d4f"})
	t.Cleanup(func() { must(t, a.Close(context.Background())) })
	return a, o
}

func waiting(errorType problem.ErrorType, n int) alert.Group {
	return alert.Group{AdapterID: "sales-system-pyxis", Adapter: "sales-system", ErrorType: errorType, Open: n, Oldest: time.Now()}
}

func TestTheAlertmanagerTakesGroupsOnceAndTheirEnd(t *testing.T) {
	t.Parallel()
	m := newAlertmanager(t)
	m.start(t)
	a, o := startAlerter(t, m, 5*time.Minute)
	for n := range 2000 { // a burst
		o.set(a, waiting("timeout", n+1), waiting("network", n+1), alert.Group{Kind: alert.LettersLost, Lost: n + 1, Why: "no space left on device"})
	}
	e2e.Eventually(t, "three alerts", func() bool { return len(m.active(t)) == 3 })
	for _, got := range m.active(t) {
		want := map[string]string{"alertname": "IntegrationLetters", "severity": "warning", "adapter_id": "sales-system-pyxis",
			"error_type": got.Labels["error_type"], "instance": "shop-7d4f"}
		if got.Labels["alertname"] == "IntegrationLettersLost" {
			want = map[string]string{"alertname": "IntegrationLettersLost", "severity": "critical", "instance": "shop-7d4f"}
		} else if look := "sidecar dlq list --adapter sales-system --error-type " + got.Labels["error_type"]; got.Annotations["look"] != look {
			t.Errorf("the command is %q, want %q", got.Annotations["look"], look)
		}
		if !maps.Equal(got.Labels, want) || got.Annotations["title"] == "" || got.GeneratorURL != "http://127.0.0.1:9901/" {
			t.Errorf("the alert is %+v, want labels %v", got, want)
		}
	}
	want := map[string]int{"firing IntegrationLetters timeout": 1, "firing IntegrationLetters network": 1, "firing IntegrationLettersLost ": 1}
	e2e.Eventually(t, "people to be told of each once", func() bool { return maps.Equal(m.told(), want) })
	o.set(a, waiting("network", 1))
	e2e.Eventually(t, "two of them to be over", func() bool { return len(m.active(t)) == 1 })
	o.set(a)
	e2e.Eventually(t, "all of them to be over", func() bool { return len(m.active(t)) == 0 })
	for told, n := range maps.Clone(want) {
		want[strings.Replace(told, "firing", "resolved", 1)] = n
	}
	e2e.Eventually(t, "people to be told of the end of each once", func() bool { return maps.Equal(m.told(), want) })
}

func TestAnAlertmanagerThatWasDownIsToldHowThingsStand(t *testing.T) {
	t.Parallel()
	m := newAlertmanager(t)
	a, o := startAlerter(t, m, 5*time.Minute)
	o.set(a, waiting("timeout", 1))
	e2e.Until(time.Now().Add(500 * time.Millisecond)) // the first tries are refused
	o.set(a, waiting("timeout", 7))
	m.start(t)
	e2e.Eventually(t, "the alert", func() bool { return len(m.active(t)) == 1 })
	if got := m.active(t)[0].Annotations["description"]; !strings.HasPrefix(got, "Waiting: 7 letters of ") {
		t.Errorf("told %q, want the present number", got)
	}
}

func TestTheAlertOfALivingSidecarStaysAndOfADeadOneEndsByItself(t *testing.T) {
	t.Parallel()
	m := newAlertmanager(t)
	m.start(t)
	a, o := startAlerter(t, m, time.Second)
	o.set(a, waiting("timeout", 1))
	e2e.Eventually(t, "the alert", func() bool { return len(m.active(t)) == 1 })
	e2e.Until(time.Now().Add(11 * time.Second)) // longer than the alert lives without being sent again
	if len(m.active(t)) != 1 {
		t.Error("the alert of a living sidecar ended")
	}
	must(t, a.Close(t.Context()))
	if len(m.active(t)) != 1 {
		t.Error("the alert ended with its sidecar, although the letter still waits")
	}
	e2e.Eventually(t, "the alert to end by itself", func() bool { return len(m.active(t)) == 0 })
	want := map[string]int{"firing IntegrationLetters timeout": 1, "resolved IntegrationLetters timeout": 1}
	e2e.Eventually(t, "people to be told of it once, and once of its end", func() bool { return maps.Equal(m.told(), want) })
}
