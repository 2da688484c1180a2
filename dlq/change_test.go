package dlq

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestUpdate(t *testing.T) {
	s := openSpool(t, Config{})
	l := letter("a")
	put(t, s, l)
	must(t, s.Update(t.Context(), l.ID, func(l *Letter) error {
		l.State = Forwarded
		l.OriginalMessage.Body = []byte("changed")
		return nil
	}))
	got, err := s.Get(l.ID)
	must(t, err)
	if got.State != Forwarded || string(got.OriginalMessage.Body) != "changed" {
		t.Errorf("got %+v", got)
	}
	errOwn := errors.New("own")
	for name, c := range map[string]struct {
		id   string
		edit func(*Letter) error
		want error
	}{
		"own error": {l.ID, func(l *Letter) error { l.State = Dead; return errOwn }, errOwn},
		"absent":    {"nobody", func(*Letter) error { return nil }, ErrNotFound},
		"other id":  {l.ID, func(l *Letter) error { l.ID = "other"; return nil }, nil},
		"state":     {l.ID, func(l *Letter) error { l.State = "lost"; return nil }, nil},
		"panic":     {l.ID, func(*Letter) error { panic("oops") }, nil},
	} {
		err := s.Update(t.Context(), c.id, c.edit)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got := s.Stats(); got.ByState[Forwarded] != 1 || got.ByState[Dead] != 0 || got.OpenByAdapter["sales-id"] != 1 {
		t.Errorf("%+v", got)
	}
}

func TestResolveScope(t *testing.T) {
	s := openSpool(t, Config{Now: func() time.Time { return day(3) }})
	a, again, closed, b := letter("a"), letter("a"), letter("a"), letter("b")
	put(t, s, a, again, closed, b)
	must(t, s.Discard(t.Context(), closed.ID, "me"))
	resolve := func(scope string, want int) {
		t.Helper()
		if n, err := s.ResolveScope(t.Context(), scope, "you"); n != want || err != nil {
			t.Fatalf("%s: resolved %d, %v", scope, n, err)
		}
	}
	resolve("scope-none", 0)
	resolve("", 0)
	resolve("scope-a", 2)
	resolve("scope-a", 0)
	got, err := s.Get(again.ID)
	must(t, err)
	want := []Audit{{Time: day(3), Who: "you", Action: "resolve", Outcome: "resolved"}}
	if got.State != Resolved || !reflect.DeepEqual(got.Audit, want) || string(got.OriginalMessage.Body) != "a" {
		t.Errorf("got %+v", got)
	}
	must(t, s.Update(t.Context(), again.ID, func(l *Letter) error { l.State = Dead; return nil }))
	resolve("scope-a", 1)
	if n := s.Stats().ByState; n[Dead] != 1 || n[Resolved] != 2 || n[Discarded] != 1 {
		t.Errorf("%v", n)
	}
}

func TestDiscard(t *testing.T) {
	s := openSpool(t, Config{})
	l := letter("a")
	put(t, s, l)
	must(t, s.Discard(t.Context(), l.ID, "me"))
	must(t, s.Discard(t.Context(), l.ID, "you"))
	got, err := s.Get(l.ID)
	must(t, err)
	if got.State != Discarded || len(got.Audit) != 1 || got.Audit[0].Who != "me" {
		t.Errorf("got %+v", got)
	}
	if err := s.Discard(t.Context(), "nobody", "me"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
