package dlq

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func outgoing(t testing.TB, s *Spool, after uint64, n int) (seqs []uint64, list []string) {
	t.Helper()
	out, err := s.Outbox(after, n)
	must(t, err)
	for _, o := range out {
		seqs, list = append(seqs, o.Seq), append(list, o.Letter.Error.Message+" "+string(o.Letter.State))
	}
	return seqs, list
}

func expectOutbox(t testing.TB, s *Spool, want ...string) (seqs []uint64) {
	t.Helper()
	seqs, got := outgoing(t, s, 0, 100)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("waiting: %v, want %v", got, want)
	}
	if n := s.Stats().Outbox; n != len(want) {
		t.Errorf("%d counted, want %d", n, len(want))
	}
	return seqs
}

func TestTheOutboxHoldsLettersInTheOrderOfKeeping(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	a, b, c := letter("a"), letter("b"), letter("c")
	put(t, s, c, a, b, a)
	seqs := expectOutbox(t, s, "c dead", "a dead", "b dead")
	if _, got := outgoing(t, s, seqs[0], 1); !reflect.DeepEqual(got, []string{"a dead"}) {
		t.Errorf("after the first: %v", got)
	}
	select {
	case <-s.OutboxReady():
	default:
		t.Error("nobody was told")
	}
	must(t, s.Forwarded(t.Context(), append(seqs[:2:2], 99)))
	expectOutbox(t, s, "b dead")
	got, err := s.Get(a.ID)
	must(t, err)
	if got.State != Forwarded || got.Metadata.Forwarded.IsZero() || len(got.Audit) != 0 {
		t.Errorf("%+v", got)
	}
	must(t, s.Close())
	s = openSpool(t, s.config)
	expectOutbox(t, s, "b dead")
	select {
	case <-s.OutboxReady():
	default:
		t.Error("nobody was told after a restart")
	}
}

func TestASinkLearnsTheLastState(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	a, b := letter("a"), letter("b")
	put(t, s, a, b)
	must(t, s.Forwarded(t.Context(), expectOutbox(t, s, "a dead", "b dead")))
	must(t, s.Update(t.Context(), a.ID, func(l *Letter) error { l.Audit = append(l.Audit, Audit{Action: "replay"}); return nil }))
	expectOutbox(t, s)
	must(t, s.Discard(t.Context(), b.ID, "me"))
	_, err := s.ResolveScope(t.Context(), a.Metadata.Scope, "me")
	must(t, err)
	must(t, s.Forwarded(t.Context(), expectOutbox(t, s, "b discarded", "a resolved")))
	expectOutbox(t, s)
	if got, _ := s.Get(b.ID); got.State != Discarded {
		t.Errorf("an acknowledgement made it %s", got.State)
	}
}

func TestAnAcknowledgementOfTheFormerStateIsNotOneOfTheLast(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	l := letter("a")
	put(t, s, l)
	before := expectOutbox(t, s, "a dead")
	must(t, s.Discard(t.Context(), l.ID, "me")) // while the sink is busy
	must(t, s.Forwarded(t.Context(), before))
	expectOutbox(t, s, "a discarded")
}

func TestALetterThatIsGoneLeavesTheOutbox(t *testing.T) {
	s := openSpool(t, Config{Outbox: true, Retention: time.Hour})
	a, b := letter("a"), letter("b")
	b.Metadata.Created = time.Now()
	put(t, s, a, b)
	_, err := s.Expire(t.Context(), time.Now())
	must(t, err)
	expectOutbox(t, s, "b dead")
	must(t, s.db.Do(t.Context(), func(tx *bbolt.Tx) error { // as a salvage may leave it
		return tx.Bucket(bucketOutbox()).Put(integer(1), append(integer(0), "nobody"...))
	}))
	if _, got := outgoing(t, s, 0, 1); !reflect.DeepEqual(got, []string{"b dead"}) {
		t.Errorf("got %v", got)
	}
}

func TestAnOutboxSwitchedOnLaterHoldsWhatWasNeverForwarded(t *testing.T) {
	s := openSpool(t, Config{})
	a, b, c := letter("a"), letter("b"), letter("c")
	put(t, s, b, a, c)
	must(t, s.Discard(t.Context(), c.ID, "me"))
	expectOutbox(t, s)
	must(t, s.Close())
	s = openSpool(t, Config{Dir: s.config.Dir, Outbox: true})
	seqs := expectOutbox(t, s, "a dead", "b dead")
	must(t, s.Forwarded(t.Context(), seqs[:1]))
	must(t, s.Close())
	s = openSpool(t, Config{Dir: s.config.Dir})
	put(t, s, letter("d"))
	expectOutbox(t, s, "b dead")
	must(t, s.Close())
	s = openSpool(t, Config{Dir: s.config.Dir, Outbox: true})
	expectOutbox(t, s, "b dead", "d dead")
}

func TestTheOutboxIsReadInBoundedPieces(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	for i := range 10 {
		l := letter(fmt.Sprint(i))
		l.OriginalMessage.Body = []byte(strings.Repeat("x", 1<<20))
		put(t, s, l)
	}
	if seqs, _ := outgoing(t, s, 0, 100); len(seqs) != 4 {
		t.Errorf("%d letters of 1 MiB at once", len(seqs))
	}
	if seqs, _ := outgoing(t, s, 0, 0); len(seqs) != 0 {
		t.Errorf("asked for none: %v", seqs)
	}
}

func TestTheOutboxTellsHowLongTheFirstWaits(t *testing.T) {
	now := day(5)
	s := openSpool(t, Config{Outbox: true, Now: func() time.Time { return now }})
	put(t, s, letter("a"))
	now = day(6)
	put(t, s, letter("b"))
	if got := s.Stats().OutboxOldest; !got.Equal(day(5)) {
		t.Errorf("got %s", got)
	}
	must(t, s.Forwarded(t.Context(), expectOutbox(t, s, "a dead", "b dead")))
	if got := s.Stats().OutboxOldest; !got.IsZero() {
		t.Errorf("got %s", got)
	}
}

func TestClosedLettersMakeWayThenForwardedOnesThenNone(t *testing.T) {
	probe := openSpool(t, Config{Outbox: true})
	put(t, probe, letter("0"))
	size := probe.Stats().Bytes
	s := openSpool(t, Config{Outbox: true, MaxBytes: 4*size + size/2})
	put(t, s, letter("1"), letter("2"), letter("3"), letter("4"))
	seqs := expectOutbox(t, s, "1 dead", "2 dead", "3 dead", "4 dead")
	must(t, s.Forwarded(t.Context(), seqs[:2]))
	list, err := s.List(Filter{}, 0)
	must(t, err)
	must(t, s.Discard(t.Context(), list[2].ID, "me"))
	for i, want := range [][]string{{"1", "2", "4", "5"}, {"2", "4", "5", "6"}, {"4", "5", "6", "7"}} {
		put(t, s, letter(fmt.Sprint(5+i)))
		list, err := s.List(Filter{}, 0)
		must(t, err)
		if !reflect.DeepEqual(texts(list), want) {
			t.Errorf("kept %v, want %v", texts(list), want)
		}
	}
	if err := s.Put(t.Context(), letter("8")); err != ErrFull {
		t.Errorf("a dead letter made way: %v", err)
	}
}

func TestEveryLetterIsForwardedWhileOthersWrite(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				l := letter(fmt.Sprint(w, "/", i))
				if err := s.Put(context.Background(), l); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					_ = s.Discard(context.Background(), l.ID, "me")
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	last := make(map[string]State)
	for running := true; running || s.Stats().Outbox > 0; {
		select {
		case <-done:
			running = false
		case <-s.OutboxReady():
		}
		out, err := s.Outbox(0, 7)
		must(t, err)
		var seqs []uint64
		for _, o := range out {
			last[o.Letter.ID] = o.Letter.State
			seqs = append(seqs, o.Seq)
		}
		must(t, s.Forwarded(t.Context(), seqs))
	}
	n := 0
	must(t, s.Each(Filter{}, func(l *Letter) bool {
		n++
		if seen, ok := last[l.ID]; !ok || seen != l.State && !(seen == Dead && l.State == Forwarded) {
			t.Errorf("%s is %s, the sink knows %q", l.ID, l.State, seen)
		}
		return true
	}))
	if n != 400 {
		t.Errorf("%d letters", n)
	}
}
