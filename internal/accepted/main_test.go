package accepted

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "work":
		workUntilKilled(os.Args[1])
	case "limit":
		acceptUntilLimited(os.Args[1])
	default:
		goleak.VerifyTestMain(m)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is moved by hand.
type clock struct{ now time.Time }

func newClock() *clock                   { return &clock{time.Unix(1_800_000_000, 0)} }
func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func openStore(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := Open(c)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// exchange is a call with this order key, and a key of its own.
func exchange(order, body string) *Exchange {
	id := NewID()
	return &Exchange{ID: id, Adapter: "erp", AdapterID: "erp-main", Method: "POST", Target: "/orders?x=\xff", Fields: wire.Fields{{Name: "X-A", Value: "\xfe"}, {Name: "X-A", Value: "2"}},
		Body: []byte(body), Key: "key-" + id, KeySource: 1, Scope: "scope-" + id, Order: order, Tenant: "acme\xfd", User: "u", CorrelationID: "corr", TTL: time.Hour}
}

func accept(t testing.TB, s *Store, x *Exchange) *Exchange {
	t.Helper()
	kept, err := s.Accept(context.Background(), x)
	must(t, err)
	return kept
}

// next claims the exchange that must be due now, and starts it.
func next(t testing.TB, s *Store) (*Claim, *Exchange) {
	t.Helper()
	c, wait := s.Next(8)
	if c == nil {
		t.Fatalf("nothing is due, for %s", wait)
	}
	x, err := s.Start(context.Background(), c)
	must(t, err)
	return c, x
}

// idle fails the test when something is due.
func idle(t testing.TB, s *Store) time.Duration {
	t.Helper()
	c, wait := s.Next(8)
	if c != nil {
		t.Fatalf("%s is due", c.ID)
	}
	return wait
}

func finish(t testing.TB, s *Store, c *Claim, body string) {
	t.Helper()
	must(t, s.Finish(context.Background(), c, End{State: Delivered, Held: true, Attempts: 1, Result: Result{Status: 201, Fields: wire.Fields{{Name: "X-B", Value: "\xff"}}, Body: []byte(body)}}))
}
