package shared

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a client of server that is closed with the test.
func open(t *testing.T, server *miniredis.Miniredis, budget time.Duration) *Client {
	t.Helper()
	c, err := Open(Config{Addresses: []string{server.Addr()}, Prefix: "test", Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestAScriptIsRunWithItsKeyAndArguments(t *testing.T) {
	c := open(t, miniredis.RunT(t), time.Second)
	echo := NewScript("return {KEYS[1], ARGV[1], 7}")
	got, err := c.Run(t.Context(), echo, c.Key("a", "b"), "x")
	if list, ok := got.([]any); err != nil || !ok || len(list) != 3 || list[0] != "test:a:b" || list[1] != "x" || list[2] != int64(7) {
		t.Fatalf("%v, %v", got, err)
	}
	if got, err := c.Run(t.Context(), NewScript("return false"), c.Key("a")); got != nil || err != nil {
		t.Fatalf("%v, %v, want nil for no reply", got, err)
	}
}

func TestSeveralCallsAreAnsweredEachByItself(t *testing.T) {
	c := open(t, miniredis.RunT(t), time.Second)
	add, fail, none := NewScript("return redis.call('INCRBY', KEYS[1], ARGV[1])"), NewScript("return redis.call('HGET', KEYS[1], 'x')"), NewScript("return false")
	for range 2 { // the second time the scripts are known
		if _, err := c.Run(t.Context(), add, c.Key("n"), 0); err != nil {
			t.Fatal(err)
		}
		replies := c.RunAll(t.Context(), []Call{{add, c.Key("n"), []any{2}}, {fail, c.Key("n"), nil}, {none, c.Key("n"), nil}, {add, c.Key("m"), []any{5}}})
		if replies[0].Err != nil || replies[1].Err == nil || replies[2] != (Reply{}) || replies[3].Err != nil {
			t.Fatalf("%+v", replies)
		}
	}
	if got, _ := c.Run(t.Context(), add, c.Key("n"), 0); got != int64(4) {
		t.Fatalf("n is %v, want 4", got)
	}
}

func TestARedisThatStopsIsLeftAloneUntilTheProberFindsItBack(t *testing.T) {
	server := miniredis.RunT(t)
	c := open(t, server, 100*time.Millisecond)
	one := NewScript("return 1")
	server.Close()
	wait(t, func() bool {
		_, err := c.Run(t.Context(), one, c.Key("k"))
		return errors.Is(err, ErrDown)
	})
	if s := c.Status(); s.Up || s.Why == nil || s.Since.IsZero() {
		t.Fatalf("%+v", s)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return c.Up() })
	if got, err := c.Run(t.Context(), one, c.Key("k")); got != int64(1) || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	if s := c.Status(); !s.Up || s.Why != nil {
		t.Fatalf("%+v", s)
	}
}

func TestACallerWithoutTimeSaysNothingOfRedis(t *testing.T) {
	c := open(t, miniredis.RunT(t), time.Second)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * failuresToDoubt {
		if _, err := c.Run(gone, NewScript("return 1"), c.Key("k")); err == nil {
			t.Fatal("no error")
		}
	}
	if !c.Up() {
		t.Fatal("the gate closed")
	}
}

func TestAForeignValueIsTheTroubleOfItsKeyAlone(t *testing.T) {
	server := miniredis.RunT(t)
	c := open(t, server, time.Second)
	if _, err := server.Lpush("test:k", "x"); err != nil {
		t.Fatal(err)
	}
	for range 2 * failuresToDoubt {
		if _, err := c.Run(t.Context(), NewScript("return redis.call('GET', KEYS[1])"), c.Key("k")); err == nil {
			t.Fatal("no error")
		}
	}
	if !c.Up() {
		t.Fatal("the gate closed")
	}
}

func TestPatienceIsSpentOverAllWaits(t *testing.T) {
	p := NewPatience(30 * time.Millisecond)
	start := time.Now()
	for range 3 {
		ctx, done := p.Spend(t.Context())
		<-ctx.Done()
		done()
	}
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Fatalf("three waits took %s", took)
	}
	if p.left > 0 {
		t.Fatalf("%s are left", p.left)
	}
	var unbounded Patience
	if ctx, _ := unbounded.Spend(t.Context()); ctx != t.Context() {
		t.Fatal("no Redis, and a bound")
	}
}

func wait(t *testing.T, until func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !until(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for 10 s")
		}
	}
}
