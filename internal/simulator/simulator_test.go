package simulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/internal/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startWorld(t *testing.T, cfg simulator.Config) *simulator.World {
	t.Helper()
	w, err := simulator.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// caller sends requests to one system as a careful application would.
type caller struct {
	t      *testing.T
	system *simulator.System
	client *http.Client
}

func newCaller(t *testing.T, s *simulator.System) *caller {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t: t, system: s, client: &http.Client{Transport: transport}}
}

func (c *caller) request(method, path, body string, fields ...string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.system.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.GetBody = nil // or the transport sends a request with a key again by itself
	req.Header.Set("Content-Type", "application/json")
	c.system.Credential().Set(req.Header)
	for ; len(fields) > 0; fields = fields[2:] {
		req.Header.Set(fields[0], fields[1])
	}
	return req
}

// do returns the status and the body, or 0 and the error.
func (c *caller) do(req *http.Request) (int, string) {
	res, err := c.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// write sends the sample of the system.
func (c *caller) write(id string, fields ...string) (int, string) {
	c.t.Helper()
	method, path, body := simulator.Sample(c.system.Name, id)
	return c.do(c.request(method, path, body, fields...))
}

// send writes and demands a status; 0 is no answer.
func (c *caller) send(want int, id string, fields ...string) {
	c.t.Helper()
	if got, body := c.write(id, fields...); got != want {
		c.t.Errorf("%s: %d %s, want %d", c.system.Name, got, body, want)
	}
}

func TestEverySystemAcceptsItsSampleAndShowsIt(t *testing.T) {
	w := startWorld(t, simulator.Config{})
	for _, s := range w.Systems() {
		t.Run(s.Name, func(t *testing.T) {
			c := newCaller(t, s)
			method, path, body := simulator.Sample(s.Name, "B-1")
			res, err := c.client.Do(c.request(method, path, body))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode/100 != 2 {
				t.Fatalf("status %d", res.StatusCode)
			}
			status, shown := c.do(c.request("GET", res.Header.Get("Location"), ""))
			if status != 200 || !strings.Contains(shown, "B-1") {
				t.Errorf("%d %s", status, shown)
			}
			if got := s.Counts(); got.Requests != 2 || got.SideEffects != 1 || got.PerID["B-1"] != 1 {
				t.Errorf("counts %+v", got)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.Sales)
	c := newCaller(t, s)
	const intake = "/api/v2/orders/intake"
	for want, req := range map[int]*http.Request{
		400: c.request("POST", intake, `{"orderId":"1","customer":"Example Customer","items":[]}`),
		401: c.request("POST", intake, `{}`, "Authorization", "Bearer wrong"),
		404: c.request("GET", "/api/v2/orders/none", ""),
		405: c.request("DELETE", intake, ""),
		415: c.request("POST", intake, `{}`, "Content-Type", "text/plain"),
	} {
		if got, body := c.do(req); got != want || !strings.Contains(body, `"error"`) {
			t.Errorf("%s %s: %d %s, want %d", req.Method, req.URL.Path, got, body, want)
		}
	}
	if n := s.Counts(); n.BadCredentials != 1 || n.SideEffects != 0 {
		t.Errorf("counts %+v", n)
	}
}

func TestSameSeedHandsOutTheSameIDs(t *testing.T) {
	var answers []string
	for range 2 {
		c := newCaller(t, startWorld(t, simulator.Config{Seed: 7}).System(simulator.Sales))
		_, body := c.write("1")
		answers = append(answers, body)
	}
	if answers[0] != answers[1] {
		t.Errorf("%q, then %q", answers[0], answers[1])
	}
}

func TestKeyIsHonoured(t *testing.T) {
	w := startWorld(t, simulator.Config{})
	for _, name := range []string{simulator.Sales, simulator.ERP, simulator.ESignature, simulator.Email} {
		s := w.System(name)
		c := newCaller(t, s)
		_, first := c.write("A", s.KeyField(), "k1")
		_, second := c.write("A", s.KeyField(), `"k1"`) // the structured form of the same key
		if first != second || s.SideEffects() != 1 || s.Counts().Replays != 1 {
			t.Errorf("%s: %q, then %q; %+v", name, first, second, s.Counts())
		}
		c.send(422, "B", s.KeyField(), "k1")
		if got := s.Keys(); !slices.Equal(got, []string{"k1", "k1", "k1"}) {
			t.Errorf("%s: keys %v", name, got)
		}
	}
}

func TestGatewayIgnoresKeys(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.SMS)
	c := newCaller(t, s)
	for range 2 {
		c.send(202, "A", s.KeyField(), "k1")
	}
	if s.SideEffectsOf("A") != 2 || s.Honours() {
		t.Errorf("%d messages", s.SideEffectsOf("A"))
	}
}

func TestAnySystemCanBeToldToIgnoreKeys(t *testing.T) {
	s := startWorld(t, simulator.Config{Systems: map[string]simulator.Setting{simulator.Sales: {IgnoreKeys: true}}}).System(simulator.Sales)
	c := newCaller(t, s)
	for range 2 {
		c.send(201, "A", s.KeyField(), "k1")
	}
	if s.SideEffectsOf("A") != 2 || s.Honours() {
		t.Errorf("%d orders", s.SideEffectsOf("A"))
	}
}

func TestConcurrentCallsWithOneKeyHaveOneEffect(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.Sales)
	c := newCaller(t, s)
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, body := c.write("A", s.KeyField(), "k1")
			mu.Lock()
			defer mu.Unlock()
			answers[body]++
		})
	}
	wg.Wait()
	if len(answers) != 1 || s.SideEffects() != 1 || s.Requests() != 100 {
		t.Errorf("answers %v, counts %+v", answers, s.Counts())
	}
}

func TestInvalidCallFreesItsKey(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.Sales)
	c := newCaller(t, s)
	if got, _ := c.do(c.request("POST", "/api/v2/orders/intake", `{}`, s.KeyField(), "k1")); got != 400 {
		t.Fatalf("status %d", got)
	}
	c.send(201, "A", s.KeyField(), "k1")
}

func TestWorkOrderIsCreatedThenReplaced(t *testing.T) {
	c := newCaller(t, startWorld(t, simulator.Config{}).System(simulator.ERP))
	for _, want := range []int{201, 200} {
		got, body := c.do(c.request("PUT", "/odata/workorders/W-1", fmt.Sprintf(`{"description":"to %d"}`, want)))
		var order map[string]string
		if err := json.Unmarshal([]byte(body), &order); err != nil || got != want || order["workOrderId"] != "W-1" {
			t.Errorf("%d %s %v, want %d", got, body, err, want)
		}
	}
}

func TestCloseEndsCallsInProgress(t *testing.T) {
	w, err := simulator.Start(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.System(simulator.ERP)
	s.Default(simulator.Hang())
	c := newCaller(t, s)
	var wg sync.WaitGroup
	wg.Go(func() { c.send(0, "A") })
	waitRequests(t, s, 1)
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestUnknownSystemIsRefused(t *testing.T) {
	_, err := simulator.Start(simulator.Config{Systems: map[string]simulator.Setting{"fax": {}}})
	if err == nil || !strings.Contains(err.Error(), `"fax"`) {
		t.Errorf("error %v", err)
	}
}

// waitRequests returns once the system has noted n requests.
func waitRequests(t *testing.T, s *simulator.System, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.WaitRequests(ctx, n); err != nil {
		t.Fatal(err)
	}
}
