package dlq

import (
	"errors"
	"testing"
)

func TestAnAdoptedLetterTellsTheSinkOnlyItsEnd(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Outbox: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	l := &Letter{ID: NewID(), State: Dead, OriginalMessage: Message{Method: "POST", Body: []byte("{}")}}
	if adopted, err := s.Adopt(t.Context(), l, "ann"); err != nil || !adopted || l.State != Dead || len(l.Audit) != 0 {
		t.Fatalf("adopted %v, %v; the caller's letter is %+v", adopted, err, l)
	}
	kept, err := s.Get(l.ID)
	if err != nil || kept.State != Forwarded || !kept.Adopted() || kept.Audit[0].Who != "ann" || string(kept.OriginalMessage.Body) != "{}" {
		t.Errorf("%+v, %v", kept, err)
	}
	if waiting, err := s.Outbox(0, 10); err != nil || len(waiting) != 0 {
		t.Errorf("%d letters wait for a sink that has them, %v", len(waiting), err)
	}
	if adopted, err := s.Adopt(t.Context(), l, "bob"); err != nil || adopted {
		t.Errorf("taken again: %v, %v", adopted, err)
	}
	if err := s.Discard(t.Context(), l.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	if waiting, _ := s.Outbox(0, 10); len(waiting) != 1 || waiting[0].Letter.State != Discarded {
		t.Errorf("the sink is told %+v, want the end of the letter", waiting)
	}
	if adopted, err := s.Adopt(t.Context(), l, "bob"); err != nil || adopted {
		t.Errorf("a letter that is closed here was opened again: %v, %v", adopted, err)
	}
}

func TestALetterThatIsNotWholeIsNotAdopted(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	omitting, err := Open(Config{Dir: t.TempDir(), OmitBody: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = omitting.Close() }()
	if adopted, err := omitting.Adopt(t.Context(), &Letter{ID: NewID(), OriginalMessage: Message{Body: []byte("{}")}}, "ann"); !errors.Is(err, ErrBodyOmitted) || adopted {
		t.Errorf("a spool that omits bodies: %v, %v", adopted, err)
	}
	for want, m := range map[error]Message{ErrBodyOmitted: {BodyOmitted: true}, ErrSealed: {SealedWith: "abcd"}} {
		l := &Letter{ID: NewID(), OriginalMessage: m}
		if adopted, err := s.Adopt(t.Context(), l, "ann"); !errors.Is(err, want) || adopted || s.Has(l.ID) {
			t.Errorf("%v, %v, want %v", adopted, err, want)
		}
	}
}

func TestLettersAreChosenByOperationAndRun(t *testing.T) {
	l := &Letter{ID: "a", State: Dead, OriginalMessage: Message{Operation: "POST /orders"},
		Audit: []Audit{{Action: ActionReplay, Run: "r1"}, {Action: "reconcile", Run: "r2"}}}
	for _, c := range []struct {
		filter Filter
		want   bool
	}{
		{Filter{Operation: "POST /orders"}, true}, {Filter{Operation: "POST /other"}, false},
		{Filter{Untried: "r1"}, false}, {Filter{Untried: "r2"}, true}, {Filter{}, true},
	} {
		if got := c.filter.Matches(l); got != c.want {
			t.Errorf("%+v: %v", c.filter, got)
		}
	}
}
