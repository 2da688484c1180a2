package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Numbers is what one source says of an incident, by the columns of the drill's table. A source says what it knows.
type Numbers map[string]string

// Drill is the incident of docs/drills/slow-then-503.md while it is played.
type Drill struct {
	Sidecar *Sidecar

	t       testing.TB
	text    string             // the document
	want    map[string]Numbers // by phase, from the document
	sources map[string]func() Numbers
	mood    atomic.Value    // of the provider: well, slow, hanging, failing
	calls   atomic.Int64    // that reached the provider, without health checks
	keys    atomic.Int64    // made so far
	mu      sync.Mutex      //
	told    map[string]tale // the newest alert of each group
}

// tale is an alert as the webhook hears it.
type tale struct {
	Status, GroupKey string
	Metadata         struct {
		Alertname string
		Open      int
	}
}

const drillPolicies = `idempotency: { honoured: true }
timeout: { attempt: 1s, total: 10s }
retry: { max_retries: 1, initial_delay: 10ms, max_delay: 10ms, jitter_factor: 0 }
breaker: { failure_threshold: 5, success_threshold: 1, reset_timeout: 1h }
health: { path: /up, interval: 1s, timeout: 1s }`

// NewDrill starts the sidecar, its provider and its webhook; document is the path of the drill.
func NewDrill(t testing.TB, document string) *Drill {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	d := &Drill{t: t, text: string(b), want: drillTable(string(b)), told: map[string]tale{}}
	d.mood.Store("well")
	provider, hook := NewUpstream(t, d.answer), NewUpstream(t, d.hear)
	d.Sidecar = Start(t, Setup{Adapters: Adapter("sales-system", provider.URL, drillPolicies),
		DLQ: "alerts: { webhook: " + hook.URL + ", group_interval: 1s }"})
	d.sources = map[string]func() Numbers{"/metrics": d.metrics, "status": d.status, "/health": d.health, "the log": d.log, "dlq list": d.list,
		"the webhook": d.alerts, "the provider": func() Numbers { return Numbers{"attempts": strconv.FormatInt(d.calls.Load(), 10)} }}
	return d
}

// AddSource adds somebody who tells of the incident.
func (d *Drill) AddSource(name string, f func() Numbers) { d.sources[name] = f }

// answer is the provider.
func (d *Drill) answer(w http.ResponseWriter, r *http.Request, _ Hit) {
	if r.URL.Path != "/up" {
		d.calls.Add(1)
	}
	switch d.mood.Load() {
	case "slow":
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
	case "hanging":
		<-r.Context().Done()
	case "failing":
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// hear is the webhook.
func (d *Drill) hear(w http.ResponseWriter, _ *http.Request, h Hit) {
	var news tale
	if err := json.Unmarshal([]byte(h.Body), &news); err != nil {
		d.t.Errorf("the webhook was told %q: %v", h.Body, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told[news.GroupKey] = news
}

// call makes n calls at once and fails the test when one has another status.
func (d *Drill) call(n int, method string, status int) {
	d.t.Helper()
	var callers sync.WaitGroup
	for range n {
		callers.Go(func() {
			a, err := d.Sidecar.Try(d.t.Context(), method, "/sales-system/orders", "{}", fmt.Sprintf("X-Idempotency-Key: order-%d", d.keys.Add(1)))
			if err != nil || a.Status != status {
				d.t.Errorf("%s while the provider is %s: %d %v, want %d", method, d.mood.Load(), a.Status, err, status)
			}
		})
	}
	callers.Wait()
}

// Play plays the incident. After each phase all sources must come to tell what the document says.
func (d *Drill) Play() {
	d.t.Helper()
	d.call(10, http.MethodPost, 200)
	d.call(5, http.MethodGet, 200)
	d.agree("well")
	d.mood.Store("slow")
	d.call(3, http.MethodPost, 200)
	d.agree("slow")
	d.mood.Store("hanging")
	d.call(2, http.MethodPost, 504)
	d.agree("hanging")
	d.shown()
	d.mood.Store("failing")
	d.call(1, http.MethodPost, 503)
	d.agree("failing")
	d.call(3, http.MethodPost, 503)
	d.call(2, http.MethodGet, 503)
	d.agree("refused")
	d.mood.Store("well")
	d.agree("back")
	d.shown()
	d.Sidecar.MustCommand(d.t, "breaker", "close", "sales-system")
	d.call(5, http.MethodPost, 200)
	d.agree("closed")
	d.Sidecar.MustCommand(d.t, "dlq", "replay", "--adapter", "sales-system", "--dry-run")
	d.Sidecar.MustCommand(d.t, "dlq", "replay", "--adapter", "sales-system")
	d.agree("replayed")
}

// shown fails the test unless the document has what status shows under HEALTH.
func (d *Drill) shown() {
	d.t.Helper()
	a := d.adapterStatus()
	if line := "HEALTH   " + a.Health + ": " + a.Message + "\n"; !strings.Contains(d.text, line) {
		d.t.Errorf("the document does not have %q", line)
	}
}

// agree returns when all sources tell the numbers of a phase.
func (d *Drill) agree(phase string) {
	d.t.Helper()
	var wrong []string
	if poll(time.Now().Add(patience), func() bool { wrong = d.disagreements(phase); return len(wrong) == 0 }) {
		return
	}
	d.t.Fatalf("%s: the sources do not agree with the document:\n%s", phase, strings.Join(wrong, "\n"))
}

func (d *Drill) disagreements(phase string) []string {
	var wrong []string
	for _, source := range slices.Sorted(maps.Keys(d.sources)) {
		for column, says := range d.sources[source]() {
			if want, known := d.want[phase][column]; !known || says != want {
				wrong = append(wrong, fmt.Sprintf("%s: %s is %s, want %s", source, column, says, want))
			}
		}
	}
	return wrong
}

// drillTable reads the numbers of each phase from the document.
func drillTable(document string) map[string]Numbers {
	var columns []string
	table := map[string]Numbers{}
	for line := range strings.Lines(document) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--"):
		case columns == nil:
			columns = cells
		default:
			row := Numbers{}
			for i, cell := range cells[1:] {
				row[columns[i+1]] = cell
			}
			table[cells[0]] = row
		}
	}
	return table
}
