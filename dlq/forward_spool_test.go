package dlq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// forwardedTo opens the spool in dir, forwards to sink until everything is there, and closes both.
func forwardedTo(t *testing.T, dir string, sink Sink) {
	t.Helper()
	s := openSpool(t, Config{Dir: dir, Outbox: true})
	f := NewForwarder(ForwarderConfig{Spool: s, Sink: sink})
	must(t, f.Flush(t.Context()))
	f.Close()
	must(t, s.Close())
}

func TestTheSpoolIsForwardedAndItsLettersSaySo(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	sink := new(fakeSink)
	f := NewForwarder(ForwarderConfig{Spool: s, Sink: sink})
	defer f.Close()
	var want []string
	for i := range 600 {
		l := letter(fmt.Sprint(i))
		want = append(want, l.ID)
		put(t, s, l)
	}
	must(t, f.Flush(t.Context()))
	if sink.got() != strings.Join(want, " ") {
		t.Errorf("arrived %s", sink.got())
	}
	if n := s.Stats().ByState[Forwarded]; n != 600 || s.Stats().Outbox != 0 {
		t.Errorf("%d are forwarded, %d wait", n, s.Stats().Outbox)
	}
	must(t, s.Discard(t.Context(), want[0], "me"))
	must(t, f.Flush(t.Context()))
	if !strings.HasSuffix(sink.got(), " "+want[0]) || f.Stats().Forwarded != 601 {
		t.Errorf("the sink was not told of the end of a letter: %+v", f.Stats())
	}
}

func TestManyWritersAndASinkThatFailsNowAndThen(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	sink := &moody{fails: 3}
	f := NewForwarder(ForwarderConfig{Spool: s, Sink: sink, MinDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond})
	defer f.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				if err := s.Put(t.Context(), letter(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, f.Flush(t.Context()))
	if n := len(sink.once); n != 800 || f.Stats().Forwarded != 800 || f.Stats().Failures == 0 {
		t.Errorf("%d arrived, %+v", n, f.Stats())
	}
}

// moody fails every so many times, after some letters have arrived.
type moody struct {
	fails, calls int
	once         map[string]bool
}

func (m *moody) Send(_ context.Context, letters []*Letter) error {
	if m.once == nil {
		m.once = map[string]bool{}
	}
	m.calls++
	for i, l := range letters {
		if m.calls%m.fails == 0 && i >= len(letters)/2 {
			return errors.New("not today")
		}
		m.once[l.ID] = true
	}
	return nil
}

func (m *moody) Close() error { return nil }

func TestALetterThatWasAcknowledgedAndNotMarkedIsSentAgainWithItsID(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, Config{Dir: dir, Outbox: true})
	l := letter("a")
	put(t, s, l)
	must(t, s.Close())
	sink := new(fakeSink)
	must(t, sink.Send(t.Context(), []*Letter{l})) // and the process died
	forwardedTo(t, dir, sink)
	if want := l.ID + " " + l.ID; sink.got() != want {
		t.Errorf("arrived %s, want %s", sink.got(), want)
	}
	forwardedTo(t, dir, sink)
	if strings.Count(sink.got(), l.ID) != 2 {
		t.Error("sent once more although it was marked")
	}
}

func TestARefusedLetterStaysDeadAndIsTriedByTheNextProcess(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, Config{Dir: dir, Outbox: true})
	a, b := letter("a"), letter("b")
	put(t, s, a, b)
	must(t, s.Close())
	sink := &fakeSink{refuses: a.ID}
	forwardedTo(t, dir, sink)
	s = openSpool(t, Config{Dir: dir, Outbox: true})
	if got, err := s.Get(a.ID); err != nil || got.State != Dead || sink.got() != b.ID {
		t.Errorf("%+v, %v; arrived %s", got, err, sink.got())
	}
	must(t, s.Close())
	sink.set(func() { sink.refuses = "" })
	forwardedTo(t, dir, sink)
	if sink.got() != b.ID+" "+a.ID {
		t.Errorf("arrived %s", sink.got())
	}
}
