package accepted

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func TestAnExchangeComesBackAsItWasAccepted(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Config{Dir: dir})
	in := exchange("o", "body")
	accept(t, s, in)
	must(t, s.Close())
	s = openStore(t, Config{Dir: dir})
	_, x := next(t, s)
	if x.ID != in.ID || x.State != Running || x.Target != in.Target || x.Tenant != in.Tenant || x.Order != "o" || string(x.Body) != "body" ||
		len(x.Fields) != 2 || x.Fields[0] != in.Fields[0] || x.Fields[1] != in.Fields[1] || x.Key != in.Key || x.KeySource != 1 || x.Doubtful {
		t.Errorf("got %+v", x)
	}
}

func TestTheEndIsReadUntilItsTime(t *testing.T) {
	clock := newClock()
	s := openStore(t, Config{Now: clock.Now})
	in := exchange("o", "body")
	accept(t, s, in)
	c, _ := next(t, s)
	finish(t, s, c, "answer")
	x, err := s.Get(in.ID)
	must(t, err)
	if x.State != Delivered || x.Attempts != 1 || x.Result.Status != 201 || string(x.Result.Body) != "answer" || x.Result.Fields.Get("x-b") != "\xff" {
		t.Errorf("got %+v, %+v", x, x.Result)
	}
	clock.advance(time.Hour)
	if _, err := s.Get(in.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("after its time: %v", err)
	}
	if n, err := s.Expire(t.Context()); n != 1 || err != nil || s.Stats().Bytes != 0 {
		t.Errorf("%d removed, %v, %d bytes left", n, err, s.Stats().Bytes)
	}
}

func TestOneScopeIsOneExchange(t *testing.T) {
	s := openStore(t, Config{})
	first, same, other := exchange("o", "a"), exchange("o", "a"), exchange("o", "b")
	same.Scope, other.Scope = first.Scope, first.Scope
	other.Fingerprint[0] = 1
	accept(t, s, first)
	if kept := accept(t, s, same); kept.ID != first.ID {
		t.Errorf("kept as %s, want %s", kept.ID, first.ID)
	}
	if _, err := s.Accept(t.Context(), other); !errors.Is(err, ErrReused) {
		t.Errorf("another body: %v", err)
	}
	c, _ := next(t, s)
	must(t, s.Finish(t.Context(), c, End{State: Failed}))
	if kept := accept(t, s, other); kept.ID != other.ID {
		t.Errorf("an end that frees its key keeps it")
	}
	idle2, _ := next(t, s)
	finish(t, s, idle2, "")
	if kept := accept(t, s, &Exchange{ID: NewID(), Scope: other.Scope, Fingerprint: other.Fingerprint}); kept.ID != other.ID {
		t.Errorf("an end that holds its key has lost it")
	}
}

func TestAFullStoreRefusesAndEndedExchangesMakeWay(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 10_000})
	body := strings.Repeat("x", 1500)
	n := 0
	for {
		if _, err := s.Accept(t.Context(), exchange("", body)); err != nil {
			if !errors.Is(err, ErrFull) || s.Stats().Failing == "" {
				t.Fatalf("%v, failing %q", err, s.Stats().Failing)
			}
			break
		}
		n++
	}
	if got := s.Stats().Bytes; got > 10_000 || n < 3 {
		t.Errorf("%d accepted, %d bytes", n, got)
	}
	var ids []string
	for range n {
		c, _ := next(t, s)
		finish(t, s, c, body)
		ids = append(ids, c.ID)
	}
	accept(t, s, exchange("", body))
	if _, err := s.Get(ids[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("the oldest end did not make way: %v", err)
	}
	if _, err := s.Get(ids[n-1]); err != nil {
		t.Errorf("the newest end made way: %v", err)
	}
	if stats := s.Stats(); stats.Bytes > 10_000 || stats.Failing != "" {
		t.Errorf("%+v", stats)
	}
}

func TestTheAccountIsWhatIsThere(t *testing.T) {
	s := openStore(t, Config{})
	for i := range 12 {
		accept(t, s, exchange("", strings.Repeat("x", i*100)))
	}
	for range 4 {
		c, _ := next(t, s)
		finish(t, s, c, "answer")
	}
	c, _ := next(t, s)
	must(t, s.PutBack(t.Context(), c, Put{Reason: "circuit-open"}))
	var want account
	must(t, s.db.View(func(tx *bbolt.Tx) error {
		v := &transaction{Tx: tx}
		return tx.Bucket(bucketHeads()).ForEach(func(id, value []byte) error {
			r, err := decodeRecord(value)
			want.bytes += v.sizeOf(id)
			if r.State.Ended() {
				want.ended += v.sizeOf(id)
			}
			return err
		})
	}))
	if got := s.account(); got != want {
		t.Errorf("the account says %+v, there are %+v", got, want)
	}
}

func TestADamagedExchangeIsSetAside(t *testing.T) {
	s := openStore(t, Config{})
	bad, good := exchange("", "bad"), exchange("", "good")
	accept(t, s, bad)
	accept(t, s, good)
	must(t, s.db.Do(t.Context(), func(tx *bbolt.Tx) error { return tx.Bucket(bucketBodies()).Put([]byte(bad.ID), []byte("bat")) }))
	c, _ := s.Next(8)
	if _, err := s.Start(t.Context(), c); !errors.Is(err, ErrNotFound) || s.Stats().Damaged != 1 {
		t.Errorf("%v, %+v", err, s.Stats())
	}
	if _, x := next(t, s); x.ID != good.ID {
		t.Errorf("%s is next", x.ID)
	}
}

func TestADamagedFileIsSalvaged(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Config{Dir: dir})
	waiting, ended := exchange("", strings.Repeat("w", 3000)), exchange("", "e")
	accept(t, s, ended)
	c, _ := next(t, s)
	finish(t, s, c, strings.Repeat("a", 3000))
	accept(t, s, waiting)
	must(t, s.Close())
	path := filepath.Join(dir, "exchanges.db")
	image, err := os.ReadFile(path)
	must(t, err)
	at := bytes.Index(image, []byte("quarantine")) // on the page of the buckets' names
	if at < 0 {
		t.Fatal("no page to damage")
	}
	for page := at / 4096 * 4096; ; {
		copy(image[page:], make([]byte, 16))
		if at = bytes.LastIndex(image, []byte("quarantine")); at < 0 || at/4096*4096 == page {
			break
		}
		page = at / 4096 * 4096
	}
	must(t, os.WriteFile(path, image, 0o600))
	s = openStore(t, Config{Dir: dir})
	if s.Stats().Damaged == 0 {
		t.Fatal("nobody is told")
	}
	if _, x := next(t, s); x.ID != waiting.ID || len(x.Body) != 3000 || !x.Doubtful {
		t.Errorf("%s is next", x.ID)
	}
	if x, err := s.Get(ended.ID); err != nil || len(x.Result.Body) != 3000 {
		t.Errorf("%+v %v", x, err)
	}
	accept(t, s, exchange("", ""))
}

func TestWhatWasSentAndNotAnsweredStaysDoubtful(t *testing.T) {
	clock := newClock()
	s := openStore(t, Config{Now: clock.Now})
	accept(t, s, exchange("", ""))
	first := clock.now
	for i, sent := range []bool{false, true, false} {
		clock.advance(time.Second)
		c, x := next(t, s)
		if x.Doubtful != (i > 1) {
			t.Errorf("try %d is doubtful: %v", i, x.Doubtful)
		}
		must(t, s.PutBack(context.Background(), c, Put{Sent: sent, Attempts: 1, Reason: "draining"}))
	}
	_, x := next(t, s)
	if !x.Doubtful || !x.Since.Equal(first.Add(2*time.Second)) || x.Attempts != 3 || x.Reason != "draining" {
		t.Errorf("%+v, want it doubtful since its second try", x)
	}
}
