package accepted

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/seal"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// sealer seals with the first of the keys, each a repeated byte.
func sealer(t testing.TB, keys ...byte) *seal.Sealer {
	t.Helper()
	var lines []byte
	for _, key := range keys {
		lines = append(lines, hex.EncodeToString(bytes.Repeat([]byte{key}, 32))+"\n"...)
	}
	s, err := seal.New(func() ([]byte, error) { return lines, nil })
	must(t, err)
	return s
}

// private is an exchange whose parts are found in a file that does not seal them.
func private() (*Exchange, End) {
	x := exchange("o", "body-data")
	x.Target, x.Fields = "/orders?name=query-data", wire.Fields{{Name: "X-Customer", Value: "field-data"}}
	return x, End{State: Delivered, Held: true, Result: Result{Status: 201, Fields: wire.Fields{{Name: "X-Made", Value: "made-data"}}, Body: []byte("answer-data")}}
}

func TestWhatWasSentAndAnsweredIsSealed(t *testing.T) {
	for name, c := range map[string]Config{"open": {}, "sealed": {Seal: sealer(t, 1)}} {
		c.Dir = t.TempDir()
		s := openStore(t, c)
		waiting, end := private()
		ended, _ := private()
		accept(t, s, ended)
		claim, x := next(t, s)
		if string(x.Body) != "body-data" || x.Target != ended.Target || x.Fields.Get("X-Customer") != "field-data" || x.Fingerprint != ended.Fingerprint || x.SealedWith != "" {
			t.Errorf("%s: started as %+v", name, x)
		}
		must(t, s.Finish(t.Context(), claim, end))
		accept(t, s, waiting)
		if x, err := s.Get(ended.ID); err != nil || string(x.Result.Body) != "answer-data" || x.Result.Fields.Get("X-Made") != "made-data" || x.Result.Omitted {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
		must(t, s.Close())
		file, err := os.ReadFile(filepath.Join(c.Dir, "exchanges.db"))
		must(t, err)
		for _, word := range []string{"body-data", "answer-data"} { // all else is JSON with base64
			if bytes.Contains(file, []byte(word)) != (name == "open") {
				t.Errorf("%s: %q in the file", name, word)
			}
		}
		for _, word := range []string{`"target"`, `"fields"`, `"fingerprint"`} {
			if bytes.Contains(file, []byte(word)) != (name == "open") {
				t.Errorf("%s: %s in the file", name, word)
			}
		}
	}
}

func TestTheOldKeyOpensExchangesAfterARotation(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Config{Dir: dir, Seal: sealer(t, 1)})
	x, end := private()
	accept(t, s, x)
	must(t, s.Close())
	s = openStore(t, Config{Dir: dir, Seal: sealer(t, 2, 1)})
	other := exchange("", "other body")
	other.Scope, other.Fingerprint[0] = x.Scope, 1
	if _, err := s.Accept(t.Context(), other); !errors.Is(err, ErrReused) {
		t.Errorf("another call with its key: %v", err)
	}
	c, got := next(t, s)
	if string(got.Body) != "body-data" || got.SealedWith != "" {
		t.Errorf("%+v", got)
	}
	must(t, s.Finish(t.Context(), c, end))
	if _, err := s.Accept(t.Context(), other); !errors.Is(err, ErrReused) {
		t.Errorf("another call with its key, once it ended: %v", err)
	}
	must(t, s.Close())
	s = openStore(t, Config{Dir: dir, Seal: sealer(t, 2)}) // what was sealed when it ended is sealed with the new key
	if got, err := s.Get(x.ID); err != nil || string(got.Result.Body) != "answer-data" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnExchangeWhoseKeyIsGoneIsNeitherLostNorDamaged(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Config{Dir: dir, Seal: sealer(t, 1)})
	x, end := private()
	ended, _ := private()
	accept(t, s, ended)
	c, _ := next(t, s)
	must(t, s.Finish(t.Context(), c, end))
	accept(t, s, x)
	for name, other := range map[string]*seal.Sealer{"another key": sealer(t, 2), "no key": nil} {
		must(t, s.Close())
		s = openStore(t, Config{Dir: dir, Seal: other})
		c, got := next(t, s)
		if got.SealedWith == "" || got.SealedBody != len("body-data") || got.Body != nil || got.Target != "" || got.Method != "POST" || got.Tenant != x.Tenant || got.Key != x.Key {
			t.Errorf("%s: %+v", name, got)
		}
		must(t, s.PutBack(t.Context(), c, Put{Reason: "sealed"}))
		if got, err := s.Get(ended.ID); err != nil || got.State != Delivered || got.Result.Status != 201 || !got.Result.Omitted || got.Result.Body != nil {
			t.Errorf("%s: the ended one is %+v, %v", name, got, err)
		}
		if kept := accept(t, s, x); kept.ID != x.ID {
			t.Errorf("%s: the same call is kept as %s", name, kept.ID)
		}
	}
	must(t, s.Close())
	s = openStore(t, Config{Dir: dir, Seal: sealer(t, 3, 1)})
	if _, got := next(t, s); string(got.Body) != "body-data" || s.Stats().Damaged != 0 {
		t.Errorf("with the key again: %+v, %+v", got, s.Stats())
	}
}

func TestASealedBodyOfAnotherExchangeIsDamage(t *testing.T) {
	s := openStore(t, Config{Seal: sealer(t, 1)})
	x, _ := private()
	accept(t, s, x)
	must(t, s.do(t.Context(), 0, func(t *transaction) error {
		r, err := read(t.Tx, []byte(x.ID))
		if err != nil {
			return err
		}
		body := s.config.Seal.Seal("another", partBody, []byte("body-data"))
		r.Body = digestOf(body)
		return errors.Join(putBody(t.Bucket(bucketBodies()), []byte(x.ID), body), t.write([]byte(x.ID), r))
	}))
	c, _ := s.Next(8)
	if _, err := s.Start(t.Context(), c); !errors.Is(err, ErrNotFound) || s.Stats().Damaged != 1 {
		t.Errorf("%v, %+v", err, s.Stats())
	}
}
