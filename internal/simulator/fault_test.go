package simulator_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/simulator"
)

const patience = 20 * time.Second

func TestFaultsStrikeOneRequestEach(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.Email)
	c := newCaller(t, s)
	s.Next(simulator.Status(503), simulator.None(), simulator.Reset(), simulator.Truncate(),
		simulator.AcceptThenDrop(), simulator.Slow(time.Millisecond), simulator.RetryAfter(429, 3))
	var got []int
	for range 8 {
		status, _ := c.write("A")
		got = append(got, status)
	}
	if want := []int{503, 202, 0, 0, 0, 202, 429, 202}; !slices.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
	if s.SideEffectsOf("A") != 5 { // the three good ones, the truncated and the dropped
		t.Errorf("counts %+v", s.Counts())
	}
	var faults []string
	for _, r := range s.Records() {
		faults = append(faults, r.Fault)
	}
	if want := "status(503)  reset accept_truncate accept_then_drop slow(1ms) retry_after(429, 3s) "; strings.Join(faults, " ") != want {
		t.Errorf("faults %q", faults)
	}
}

func TestLostAnswerIsReplayedByKey(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.Sales)
	c := newCaller(t, s)
	s.Next(simulator.AcceptThenDrop())
	c.send(0, "A", s.KeyField(), "k1")
	c.send(201, "A", s.KeyField(), "k1")
	if r := s.Records(); s.SideEffectsOf("A") != 1 || !r[0].SideEffect || r[0].Status != 0 || !r[1].Replayed || r[1].SideEffect {
		t.Errorf("records %+v", r)
	}
}

func TestHangEndsWhenTheCallerLeaves(t *testing.T) {
	for name, tc := range map[string]struct {
		fault   simulator.Fault
		effects int
	}{
		"hang":             {simulator.Hang(), 0},
		"slow":             {simulator.Slow(time.Hour), 0},
		"accept then hang": {simulator.AcceptThenHang(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := startWorld(t, simulator.Config{})
			s := w.System(simulator.ERP)
			c := newCaller(t, s)
			s.Next(tc.fault)
			method, path, body := simulator.Sample(s.Name, "A")
			ctx, cancel := context.WithCancel(t.Context())
			req := c.request(method, path, body).WithContext(ctx)
			go func() { waitRequests(t, s, 1); cancel() }()
			if status, text := c.do(req); status != 0 {
				t.Errorf("%d %s", status, text)
			}
			c.send(201, "B")
			if err := w.Close(); err != nil { // waits for the call that was left
				t.Error(err)
			}
			if got := s.SideEffectsOf("A"); got != tc.effects {
				t.Errorf("%d side effects, want %d", got, tc.effects)
			}
		})
	}
}

func TestThrottleIsATokenBucket(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.Email)
	c := newCaller(t, s)
	s.Default(simulator.Throttle(0.001, 3))
	for _, want := range []int{202, 202, 202, 429, 429} {
		c.send(want, "A")
	}
	s.Recover()
	c.send(202, "A")
}

func TestProviderLimitSaysWhenToComeBack(t *testing.T) {
	s := startWorld(t, simulator.Config{Systems: map[string]simulator.Setting{
		simulator.ESignature: {Limit: simulator.Limit{PerSecond: 0.1, Burst: 1}},
	}}).System(simulator.ESignature)
	c := newCaller(t, s)
	c.send(201, "A")
	method, path, body := simulator.Sample(s.Name, "A")
	res, err := c.client.Do(c.request(method, path, body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "10" {
		t.Errorf("%d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

func TestHealthShowsAnOutage(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.SMS)
	c := newCaller(t, s)
	for _, tc := range []struct {
		fault simulator.Fault
		want  int
	}{{simulator.None(), 200}, {simulator.Throttle(1, 1), 200}, {simulator.Status(503), 503}, {simulator.Hang(), 503}} {
		s.Default(tc.fault)
		if got, _ := c.do(c.request("GET", "/health", "")); got != tc.want {
			t.Errorf("%v: health %d, want %d", tc.fault, got, tc.want)
		}
	}
	if s.Requests() != 0 {
		t.Errorf("health was counted: %d", s.Requests())
	}
}

func TestControlPaths(t *testing.T) {
	s := startWorld(t, simulator.Config{}).System(simulator.Sales)
	c := newCaller(t, s)
	put := func(want int, body string) {
		t.Helper()
		if got, text := c.do(c.request("PUT", "/_control/faults", body)); got != want {
			t.Errorf("%s: %d %s, want %d", body, got, text, want)
		}
	}
	put(204, `{"next":[{"kind":"status","status":500}],"default":{"kind":"throttle","per_second":0.001,"burst":1}}`)
	for _, want := range []int{500, 201, 429} {
		c.send(want, "A")
	}
	put(204, `{"default":{"kind":""}}`)
	c.send(201, "A")
	for _, bad := range []string{`{`, `{"nxt":[]}`, `{"next":[{"kind":"explode"}]}`, `{"next":[{"kind":"status"}]}`,
		`{"default":{"kind":"throttle"}}`, `{"next":[{"kind":"slow"}]}`} {
		put(400, bad)
	}
	if got, body := c.do(c.request("GET", "/_control/counts", "")); got != 200 || !strings.Contains(body, `"side_effects":2`) {
		t.Errorf("%d %s", got, body)
	}
	if got, body := c.do(c.request("GET", "/_control/records", "")); got != 200 || !strings.Contains(body, `"fault":"status(500)"`) {
		t.Errorf("%d %s", got, body)
	}
	s.Default(simulator.Hang())
	if got, _ := c.do(c.request(http.MethodDelete, "/_control/faults", "")); got != 204 {
		t.Errorf("status %d", got)
	}
	c.send(201, "A")
}
