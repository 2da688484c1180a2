package dlq

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"
)

func TestFullMakesRoomFromClosedLettersThenRefuses(t *testing.T) {
	probe := openSpool(t, Config{})
	put(t, probe, letter("0"))
	size := probe.Stats().Bytes
	s := openSpool(t, Config{MaxBytes: 4*size + size/2})
	letters := []*Letter{letter("1"), letter("2"), letter("3"), letter("4"), letter("5"), letter("6")}
	put(t, s, letters[:4]...)
	if err := s.Put(t.Context(), letters[4]); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	put(t, s, letters[0]) // it is there: no new room needed
	must(t, s.Discard(t.Context(), letters[2].ID, "me"))
	must(t, s.Discard(t.Context(), letters[1].ID, "me"))
	if got := s.Stats(); got.Yielding == 0 || got.Yielding > got.Bytes-2*size+size/2 {
		t.Errorf("two of four letters make way, and %d of %d bytes", got.Yielding, got.Bytes)
	}
	put(t, s, letters[4])
	if s.Has(letters[1].ID) || !s.Has(letters[4].ID) {
		t.Error("the oldest closed letter did not make way")
	}
	put(t, s, letters[5])
	got, err := s.List(Filter{}, 0)
	must(t, err)
	if want := []string{"1", "4", "5", "6"}; !reflect.DeepEqual(texts(got), want) {
		t.Errorf("kept %v, want %v", texts(got), want)
	}
	if err := s.Put(t.Context(), letter("7")); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	if got := s.Stats(); got.Evicted != 2 || got.Bytes > got.MaxBytes || got.Yielding != 0 {
		t.Errorf("%+v", got)
	}
}

func TestBoundsHoldUnderConcurrentPuts(t *testing.T) {
	s := openSpool(t, Config{MaxBytes: 20_000})
	var wg sync.WaitGroup
	var mu sync.Mutex
	kept := make(map[string]bool)
	for range 64 {
		wg.Go(func() {
			l := letter("x")
			err := s.Put(t.Context(), l)
			if err != nil && !errors.Is(err, ErrFull) {
				t.Error(err)
			}
			mu.Lock()
			kept[l.ID] = err == nil
			mu.Unlock()
		})
	}
	wg.Wait()
	n := 0
	for id, want := range kept {
		if s.Has(id) != want {
			t.Errorf("%s: kept %v, told %v", id, !want, want)
		}
		if want {
			n++
		}
	}
	if got := s.Stats(); got.Bytes > got.MaxBytes || got.ByState[Dead] != n || n == 0 || n == 64 {
		t.Errorf("%d kept, %+v", n, got)
	}
}

func TestExpire(t *testing.T) {
	s := openSpool(t, Config{Retention: 24 * time.Hour})
	now := time.Now().Add(48 * time.Hour)
	var want []string
	for i := range 300 {
		l := letter(fmt.Sprint(i))
		if l.Metadata.Created = now.Add(-25 * time.Hour); i%3 == 0 {
			l.Metadata.Created = now.Add(-23 * time.Hour)
		} else {
			want = append(want, l.ID)
		}
		put(t, s, l)
	}
	if got, err := s.Expire(t.Context(), now.Add(-24*time.Hour)); len(got) != 0 || err != nil {
		t.Errorf("too early: %v, %v", got, err)
	}
	got, err := s.Expire(t.Context(), now)
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d expired, want %d", len(got), len(want))
	}
	if stats := s.Stats(); stats.Expired != 200 || stats.ByState[Dead] != 100 {
		t.Errorf("%+v", stats)
	}
	s.config.Retention = -1
	if got, err := s.Expire(t.Context(), now.Add(time.Hour*1000)); len(got) != 0 || err != nil {
		t.Errorf("kept forever: %v, %v", got, err)
	}
}
