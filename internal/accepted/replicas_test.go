package accepted

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// fleet are stores that share a Redis, whose clocks are moved by hand. None works by itself: beat makes it.
type fleet struct {
	*testing.T
	redis *miniredis.Miniredis
	clock *clock
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t, miniredis.RunT(t), newClock()}
	f.redis.SetTime(f.clock.now)
	return f
}

// client opens a client of its own, as each process has.
func (f *fleet) client() *shared.Client {
	f.Helper()
	c, err := shared.Open(shared.Config{Addresses: []string{f.redis.Addr()}, Prefix: "test", Budget: 5 * time.Second})
	must(f.T, err)
	<-c.Probed()
	f.Cleanup(func() { _ = c.Close() })
	return c
}

func (f *fleet) open(dir string, change ...func(*Config)) *Store {
	f.Helper()
	c := Config{Dir: dir, Now: f.clock.Now, Sharing: Sharing{Client: f.client()}}
	for _, edit := range change {
		edit(&c)
	}
	s := openStore(f.T, c)
	f.beat(s)
	return s
}

// beat lets stores say that they live, and do what there is to do.
func (f *fleet) beat(stores ...*Store) {
	f.Helper()
	for _, s := range stores {
		s.replicas.beat(f.Context())
		s.replicas.step(f.Context())
	}
}

// pass moves the time while these stores, and no others, say that they live.
func (f *fleet) pass(d time.Duration, stores ...*Store) {
	f.Helper()
	for ; d > 0; d -= 2 * time.Second {
		f.clock.advance(min(d, 2*time.Second))
		f.redis.SetTime(f.clock.now)
		f.beat(stores...)
	}
}

// kill ends a store as a crash does.
func (f *fleet) kill(s *Store) {
	f.Helper()
	s.replicas.left.Do(func() {})
	must(f.T, s.Close())
}

// share accepts exchanges, and waits for their copies.
func (f *fleet) share(s *Store, list ...*Exchange) {
	f.Helper()
	for _, x := range list {
		accept(f.T, s, x)
	}
	s.replicas.step(f.Context())
	if n := s.Stats().Uncopied; n != 0 {
		f.Fatalf("%d have no copy", n)
	}
}

// run starts the exchange that is next, and wants it held as told.
func (f *fleet) run(s *Store, want Holding) (*Claim, *Exchange) {
	f.Helper()
	c, x := next(f.T, s)
	if held := s.Hold(f.Context(), c); held != want {
		f.Fatalf("%s is held as %d, want %d", x.ID, held, want)
	}
	return c, x
}

const (
	alive = 8 * time.Second
	dead  = 12 * time.Second
)

func TestWhatADeadSidecarAcceptedIsTakenOverInItsOrder(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	var list []*Exchange
	for i := range 200 {
		list = append(list, exchange("one order", fmt.Sprint(i)))
	}
	f.share(a, list...)
	f.kill(a)
	f.pass(alive, b)
	idle(t, b)
	f.pass(dead, b)
	for i := range list {
		c, x := f.run(b, Held)
		if string(x.Body) != fmt.Sprint(i) || x.Doubtful || x.Target != list[i].Target || x.Fingerprint != list[i].Fingerprint || x.Key != list[i].Key {
			t.Fatalf("the %d. is %+v", i, x)
		}
		finish(t, b, c, "done")
	}
	if stats := b.Stats(); stats.TakenOver != 200 {
		t.Errorf("%+v", stats)
	}
}

func TestWhatWasUnderWayIsDoubtfulElsewhere(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	running, put, waiting := exchange("1", "running"), exchange("2", "put back"), exchange("3", "waiting")
	f.share(a, running, put, waiting)
	f.run(a, Held)
	c, _ := f.run(a, Held)
	must(t, a.PutBack(t.Context(), c, Put{Reason: "circuit-open"}))
	f.beat(a)
	f.kill(a)
	f.pass(dead+alive, b)
	for _, want := range []*Exchange{running, put, waiting} {
		_, x := f.run(b, Held)
		if x.ID != want.ID || x.Doubtful != (want == running) || x.Doubtful && x.Since.IsZero() {
			t.Errorf("%+v, want %s", x, want.Body)
		}
	}
}

func TestASidecarThatWasSilentFindsItsExchangesTakenOver(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	first, second, third := exchange("", "1"), exchange("", "2"), exchange("", "3")
	f.share(a, first, second, third)
	f.pass(alive, a, b)
	c, _ := next(t, a) // stopped before it asked
	f.pass(dead, b)
	if held := a.Hold(t.Context(), c); held != Silent {
		t.Errorf("nobody knows that it lives: held as %d", held)
	}
	f.beat(a)
	if held := a.Hold(t.Context(), c); held != Lost {
		t.Errorf("held as %d by its former owner", held)
	}
	must(t, a.Drop(t.Context(), c))
	idle(t, a) // the others were dropped when it was told
	if stats := a.Stats(); stats.Lost != 3 || stats.Bytes != 0 || b.Stats().TakenOver != 3 {
		t.Errorf("%+v, the heir %+v", stats, b.Stats())
	}
	for range 3 {
		c, x := f.run(b, Held)
		finish(t, b, c, "answer")
		f.beat(b)
		for name, s := range map[string]*Store{"heir": b, "former owner": a} {
			if got, err := s.Find(t.Context(), x.ID); err != nil || got.State != Delivered || string(got.Result.Body) != "answer" || got.Tenant != x.Tenant {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	}
}

func TestOneHeirTakesAllAndTheNextOneWhatThatLeft(t *testing.T) {
	f := newFleet(t)
	a, b, c := f.open(t.TempDir()), f.open(t.TempDir()), f.open(t.TempDir())
	var ids []string
	for range 100 {
		x := exchange("o", "x")
		f.share(a, x)
		ids = append(ids, x.ID)
	}
	f.kill(a)
	f.pass(dead+alive, b, c)
	heir, other := b, c
	if heir.Stats().TakenOver == 0 {
		heir, other = c, b
	}
	if heir.Stats().TakenOver != 100 || other.Stats().TakenOver != 0 {
		t.Errorf("%d and %d were taken over", heir.Stats().TakenOver, other.Stats().TakenOver)
	}
	done, _ := f.run(heir, Held)
	finish(t, heir, done, "")
	f.beat(heir)
	f.kill(heir)
	f.pass(dead+alive, other)
	for _, id := range ids[1:] {
		c, x := f.run(other, Held)
		if x.ID != id || x.Doubtful {
			t.Fatalf("%s, want %s", x.ID, id)
		}
		finish(t, other, c, "")
	}
}

// An heir that died between the claim in Redis and its own disk has the exchange in both lists.
func TestAnHeirThatDiesInBetweenLosesNothing(t *testing.T) {
	f := newFleet(t)
	a, b, c := f.open(t.TempDir()), f.open(t.TempDir()), f.open(t.TempDir())
	x := exchange("o", "x")
	f.share(a, x)
	f.kill(a)
	_, err := b.replicas.run(t.Context(), b.replicas.scripts.index, b.replicas.owned(b.replicas.me), 1000000, 1, x.ID, note(1, 1))
	must(t, err)
	_, err = b.replicas.run(t.Context(), b.replicas.scripts.adopt, b.replicas.exchange(x.ID), b.replicas.me, a.replicas.me)
	must(t, err)
	f.kill(b)
	f.pass(dead+alive, c)
	if _, got := f.run(c, Held); got.ID != x.ID {
		t.Errorf("%s", got.ID)
	}
}

func TestARestartedSidecarGoesOnWithItsOwn(t *testing.T) {
	f := newFleet(t)
	dir := t.TempDir()
	a, b := f.open(dir), f.open(t.TempDir())
	x, ended := exchange("", "x"), exchange("", "e")
	f.share(a, ended, x)
	c, _ := f.run(a, Held)
	finish(t, a, c, "answer") // Redis is not told
	f.kill(a)
	f.pass(alive, b)
	a = f.open(dir)
	f.pass(dead+alive, a, b)
	if _, got := f.run(a, Held); got.ID != x.ID || got.Doubtful {
		t.Errorf("%+v", got)
	}
	idle(t, a)
	idle(t, b)
	if got, err := b.Find(t.Context(), ended.ID); err != nil || got.State != Delivered {
		t.Errorf("what ended before the restart is %+v, %v", got, err)
	}
}

func TestASidecarThatLeavesIsSucceededAtOnce(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	f.pass(dead, a, b)
	x := exchange("", "x")
	accept(t, a, x) // copied when it leaves
	must(t, a.Close())
	f.beat(b)
	if _, got := f.run(b, Held); got.ID != x.ID || got.Doubtful {
		t.Errorf("%+v", got)
	}
}
