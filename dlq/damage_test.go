package dlq

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"go.etcd.io/bbolt"
)

// spoil closes s, damages the value of id in the bucket, and opens the spool again.
func spoil(t *testing.T, s *Spool, bucket, id string) *Spool {
	t.Helper()
	must(t, s.Close())
	db, err := bbolt.Open(filepath.Join(s.config.Dir, "letters.db"), 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		value := append([]byte(nil), tx.Bucket([]byte(bucket)).Get([]byte(id))...)
		value[len(value)/2] ^= 1
		return tx.Bucket([]byte(bucket)).Put([]byte(id), value)
	}))
	must(t, db.Close())
	return openSpool(t, s.config)
}

func TestDamagedLettersAreMovedAside(t *testing.T) {
	for _, bucket := range []string{"heads", "bodies"} {
		for name, find := range map[string]func(*Spool, string) error{
			"get":  func(s *Spool, id string) error { _, err := s.Get(id); return err },
			"each": func(s *Spool, id string) error { _, err := s.List(Filter{}, 0); return errors.Join(err, ErrNotFound) },
			"update": func(s *Spool, id string) error {
				return s.Update(context.Background(), id, func(*Letter) error { return nil })
			},
		} {
			t.Run(bucket+"/"+name, func(t *testing.T) {
				s := openSpool(t, Config{})
				good, bad := letter("good"), letter("bad")
				put(t, s, good)
				alone := s.Stats()
				put(t, s, bad)
				s = spoil(t, s, bucket, bad.ID)
				if err := find(s, bad.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("got %v", err)
				}
				list, err := s.List(Filter{}, 0)
				must(t, err)
				if !reflect.DeepEqual(texts(list), []string{"good"}) {
					t.Errorf("listed %v", texts(list))
				}
				alone.Quarantined = 1
				if got := s.Stats(); !reflect.DeepEqual(got, alone) {
					t.Errorf("got %+v, want %+v", got, alone)
				}
				if n, err := s.ResolveScope(t.Context(), "scope-bad", "me"); n != 0 || err != nil {
					t.Errorf("resolved %d, %v", n, err)
				}
				must(t, s.Close())
				if got := openSpool(t, s.config).Stats(); !reflect.DeepEqual(got, alone) {
					t.Errorf("after a reopen %+v, want %+v", got, alone)
				}
			})
		}
	}
}

func TestDiscardKeepsADamagedBodyDamaged(t *testing.T) {
	s := openSpool(t, Config{})
	l := letter("a body")
	put(t, s, l)
	s = spoil(t, s, "bodies", l.ID)
	must(t, s.Discard(t.Context(), l.ID, "me"))
	if _, err := s.Get(l.ID); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a damaged body was handed out: %v", err)
	}
}
