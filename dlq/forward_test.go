package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeOutbox is an outbox in memory.
type fakeOutbox struct {
	mu      sync.Mutex
	last    uint64
	entries []Outgoing
	ready   chan struct{}
	broken  error // of Forwarded
	reads   []int
}

func newFakeOutbox() *fakeOutbox { return &fakeOutbox{ready: make(chan struct{}, 1)} }

func (o *fakeOutbox) keep(letters ...*Letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range letters {
		o.last++
		o.entries = append(o.entries, Outgoing{Seq: o.last, Letter: l})
	}
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

func (o *fakeOutbox) Outbox(after uint64, n int) (list []Outgoing, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.entries {
		if e.Seq > after && len(list) < n {
			list = append(list, e)
		}
	}
	o.reads = append(o.reads, len(list))
	return list, nil
}

func (o *fakeOutbox) Forwarded(_ context.Context, seqs []uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	o.entries = slices.DeleteFunc(o.entries, func(e Outgoing) bool { return slices.Contains(seqs, e.Seq) })
	return nil
}

func (o *fakeOutbox) OutboxReady() <-chan struct{} { return o.ready }

func (o *fakeOutbox) left() (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.entries {
		ids = append(ids, e.Letter.ID)
	}
	return ids
}

// fakeSink takes letters, or fails as it is told.
type fakeSink struct {
	mu      sync.Mutex
	down    error
	refuses string // id
	hangs   bool   // until the context ends
	took    time.Duration
	arrived []string // ids
	batches []struct{ letters, bytes int }
	tries   []time.Time
}

func (s *fakeSink) Send(ctx context.Context, letters []*Letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, time.Now())
	if s.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(s.took)
	if s.down != nil {
		return s.down
	}
	bytes := 0
	var refused []Refusal
	for _, l := range letters {
		bytes += len(l.OriginalMessage.Body)
		if l.ID == s.refuses {
			refused = append(refused, Refusal{l.ID, errors.New("too large")})
			continue
		}
		s.arrived = append(s.arrived, l.ID)
	}
	s.batches = append(s.batches, struct{ letters, bytes int }{len(letters), bytes})
	return refusal(refused)
}

func (s *fakeSink) Close() error { return nil }

func (s *fakeSink) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeSink) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.arrived, " ")
}

// named makes letters with the ids 1, 2, …
func named(n, size int) (list []*Letter, ids string) {
	var names []string
	for i := range n {
		l := letter("x")
		l.ID, l.OriginalMessage.Body, l.Metadata.Created = fmt.Sprint(i+1), make([]byte, size), time.Now()
		list, names = append(list, l), append(names, l.ID)
	}
	return list, strings.Join(names, " ")
}

// forwarding runs a test in a bubble of its own time.
func forwarding(t *testing.T, c ForwarderConfig, test func(*testing.T, *Forwarder, *fakeOutbox, *fakeSink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		outbox, sink := newFakeOutbox(), new(fakeSink)
		c.Sink = sink
		f := newForwarder(c, outbox)
		defer f.Close()
		test(t, f, outbox, sink)
	})
}

func TestLettersAreForwardedInTheOrderOfKeeping(t *testing.T) {
	forwarding(t, ForwarderConfig{}, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		list, ids := named(1000, 10)
		for _, l := range list {
			outbox.keep(l)
		}
		must(t, f.Flush(t.Context()))
		if sink.got() != ids || len(outbox.left()) > 0 {
			t.Errorf("arrived %s, left %v", sink.got(), outbox.left())
		}
		if s := f.Stats(); s.Forwarded != 1000 || s.Failures != 0 || s.LastError != nil || s.Lag != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatComesLaterIsForwardedByItself(t *testing.T) {
	forwarding(t, ForwarderConfig{}, func(t *testing.T, _ *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		list, ids := named(3, 10)
		for _, l := range list {
			synctest.Wait()
			outbox.keep(l)
		}
		synctest.Wait()
		if sink.got() != ids {
			t.Errorf("arrived %s", sink.got())
		}
	})
}

func TestABatchIsBoundedInBytesAndLetters(t *testing.T) {
	forwarding(t, ForwarderConfig{MaxLetters: 20, MaxBytes: 1000}, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		small, _ := named(100, 1)
		middle, _ := named(10, 300)
		large, _ := named(3, 5000)
		outbox.keep(slices.Concat(small, middle, large, small)...)
		must(t, f.Flush(t.Context()))
		for _, b := range sink.batches {
			if b.letters > 20 || b.bytes > 1000 && b.letters > 1 {
				t.Errorf("%d letters of %d bytes at a time", b.letters, b.bytes)
			}
		}
		if len(sink.arrived) != 213 || len(sink.batches) > 25 {
			t.Errorf("%d arrived in %d batches", len(sink.arrived), len(sink.batches))
		}
	})
}

func TestASinkThatIsDownIsTriedLessAndLessOftenAndNothingIsLost(t *testing.T) {
	var told []bool
	c := ForwarderConfig{Changed: func(up bool, why error) {
		if told = append(told, up); up != (why == nil) {
			t.Errorf("up %v, why %v", up, why)
		}
	}}
	forwarding(t, c, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		synctest.Wait()
		down := errors.New("down")
		sink.set(func() { sink.down = down })
		list, ids := named(40, 10)
		start := time.Now()
		outbox.keep(list...)
		time.Sleep(10 * time.Minute)
		if s := f.Stats(); s.LastError != down || !s.FailingSince.Equal(start) || s.Lag != 10*time.Minute || s.Forwarded != 0 || s.Failures != uint64(len(sink.tries)) {
			t.Errorf("%+v", s)
		}
		if len(sink.tries) < 20 || len(sink.tries) > 55 {
			t.Errorf("%d tries in 10 minutes", len(sink.tries))
		}
		for i := 1; i < len(sink.tries); i++ {
			most := min(250*time.Millisecond<<min(i-1, 10), 30*time.Second)
			if d := sink.tries[i].Sub(sink.tries[i-1]); d < most/2 || d > most {
				t.Errorf("the pause before try %d was %s, want %s to %s", i+1, d, most/2, most)
			}
		}
		if len(outbox.left()) != 40 {
			t.Errorf("%d are left", len(outbox.left()))
		}
		sink.set(func() { sink.down = nil })
		time.Sleep(30 * time.Second)
		if sink.got() != ids {
			t.Errorf("arrived %s", sink.got())
		}
		if s := f.Stats(); s.Forwarded != 40 || !s.FailingSince.IsZero() || s.Lag != 0 || fmt.Sprint(told) != "[false true]" {
			t.Errorf("%+v, told %v", s, told)
		}
	})
}

func TestAFlushDoesNotWaitForThePause(t *testing.T) {
	forwarding(t, ForwarderConfig{}, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		sink.set(func() { sink.down = errors.New("down") })
		list, ids := named(40, 10)
		outbox.keep(list...)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		sink.set(func() { sink.down = nil })
		start := time.Now()
		must(t, f.Flush(t.Context()))
		if took := time.Since(start); took != 0 || sink.got() != ids {
			t.Errorf("after %s arrived %s", took, sink.got())
		}
	})
}

func TestAFlushThatCannotSucceedSaysWhy(t *testing.T) {
	forwarding(t, ForwarderConfig{}, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		down := errors.New("down")
		sink.set(func() { sink.down = down })
		list, _ := named(1, 10)
		outbox.keep(list...)
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := f.Flush(short); !errors.Is(err, down) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		sink.set(func() { sink.down = nil }) // the flush that was given up does no harm
		must(t, f.Flush(t.Context()))
	})
}

func TestARefusedLetterIsPassedOver(t *testing.T) {
	var refused []string
	c := ForwarderConfig{Refused: func(id string, _ error) { refused = append(refused, id) }}
	forwarding(t, c, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		sink.set(func() { sink.refuses = "2" })
		list, _ := named(4, 10)
		outbox.keep(list[:3]...)
		must(t, f.Flush(t.Context()))
		outbox.keep(list[3])
		must(t, f.Flush(t.Context()))
		if sink.got() != "1 3 4" || fmt.Sprint(outbox.left()) != "[2]" || fmt.Sprint(refused) != "[2]" {
			t.Errorf("arrived %s, left %v, refused %v", sink.got(), outbox.left(), refused)
		}
		if s := f.Stats(); s.Forwarded != 3 || s.Refused != 1 || s.Failures != 0 || s.LastError == nil || s.Lag != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatCannotBeMarkedIsMarkedLaterAndNotSentAgain(t *testing.T) {
	forwarding(t, ForwarderConfig{}, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		outbox.mu.Lock()
		outbox.broken = errors.New("disk")
		outbox.mu.Unlock()
		list, ids := named(3, 10)
		outbox.keep(list...)
		time.Sleep(time.Minute)
		if s := f.Stats(); s.Forwarded != 0 || s.LastError == nil {
			t.Errorf("%+v", s)
		}
		outbox.mu.Lock()
		outbox.broken = nil
		outbox.mu.Unlock()
		must(t, f.Flush(t.Context()))
		if s := f.Stats(); sink.got() != ids || len(outbox.left()) > 0 || s.Forwarded != 3 {
			t.Errorf("arrived %s, left %v, %+v", sink.got(), outbox.left(), s)
		}
	})
}

func TestCloseBreaksOffASendAndEndsAFlush(t *testing.T) {
	forwarding(t, ForwarderConfig{}, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		sink.hangs = true
		list, _ := named(1, 10)
		outbox.keep(list...)
		synctest.Wait()
		flushed := make(chan error)
		go func() { flushed <- f.Flush(t.Context()) }()
		synctest.Wait()
		f.Close()
		if err := <-flushed; !errors.Is(err, errForwarderClosed) {
			t.Errorf("got %v", err)
		}
		if s := f.Stats(); s.Failures != 0 || len(outbox.left()) != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestFlushesOfManyAtOnce(t *testing.T) {
	forwarding(t, ForwarderConfig{}, func(t *testing.T, f *Forwarder, outbox *fakeOutbox, sink *fakeSink) {
		sink.took = time.Second
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				list, _ := named(5, 10)
				outbox.keep(list...)
				if err := f.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(outbox.left()) > 0 {
			t.Errorf("left %v", outbox.left())
		}
	})
}
