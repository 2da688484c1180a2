package dlq

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/seal"
)

func hexKey(b byte) string { return hex.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func sealer(t testing.TB, lines ...string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(func() ([]byte, error) { return []byte(strings.Join(lines, "\n") + "\n"), nil })
	must(t, err)
	return s
}

func TestASealedLetterIsReadableOnlyThroughTheSpool(t *testing.T) {
	s := openSpool(t, Config{Seal: sealer(t, hexKey(1))})
	l := letter("personal-data")
	l.Error.Message = "503"
	l.Metadata.IdempotencyKey, l.Metadata.Scope = "k", "s"
	l.OriginalMessage.Headers = append(l.OriginalMessage.Headers, Header{"X-Customer", "header-data"})
	l.OriginalMessage.Target, l.OriginalMessage.URL = "/orders?name=query-data", "https://sales.example/orders?name=query-data"
	l.OriginalMessage.BodyDigest = "sha-256=:digest-data:"
	put(t, s, l)
	got, err := s.Get(l.ID)
	must(t, err)
	list, err := s.List(Filter{}, 0)
	must(t, err)
	if !reflect.DeepEqual(got, l) || !reflect.DeepEqual(list, []*Letter{l}) {
		t.Errorf("got %+v\nand %+v\nwant %+v", got, list, l)
	}
	file, err := os.ReadFile(filepath.Join(s.config.Dir, "letters.db"))
	must(t, err)
	for _, private := range []string{"personal-data", "header-data", "query-data", "digest-data", base64.StdEncoding.EncodeToString([]byte("personal-data"))} {
		if bytes.Contains(file, []byte(private)) {
			t.Errorf("%q lies in the file", private)
		}
	}
}

func TestALetterSealedWithAnUnknownKeyIsListedAndNeverQuarantined(t *testing.T) {
	s := openSpool(t, Config{Seal: sealer(t, hexKey(1))})
	l := letter("a")
	put(t, s, l)
	for name, other := range map[string]*seal.Sealer{"another key": sealer(t, hexKey(2)), "no key": nil} {
		must(t, s.Close())
		s = openSpool(t, Config{Dir: s.config.Dir, Seal: other})
		got, err := s.Get(l.ID)
		must(t, err)
		m := got.OriginalMessage
		if m.Method != "POST" || m.Body != nil || len(m.Headers) > 0 || m.Target != "" || m.URL != "" || m.BodyLength != 1 || m.SealedWith == "" {
			t.Errorf("%s: %+v", name, m)
		}
		if err := m.Whole(); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := s.List(Filter{Tenant: "t"}, 0); err != nil || len(list) != 1 {
			t.Errorf("%s: listed %v, %v", name, list, err)
		}
		note := func(l *Letter) error { l.Audit = append(l.Audit, Audit{Who: "me"}); return nil }
		must(t, s.Update(t.Context(), l.ID, note))
		err = s.Update(t.Context(), l.ID, func(l *Letter) error { l.OriginalMessage.Body = []byte("b"); return nil })
		if !errors.Is(err, ErrSealed) {
			t.Errorf("%s: a body that nobody can read was replaced: %v", name, err)
		}
	}
	must(t, s.Discard(t.Context(), l.ID, "me"))
	must(t, s.Close())
	s = openSpool(t, Config{Dir: s.config.Dir, Seal: sealer(t, hexKey(3), hexKey(1))})
	got, err := s.Get(l.ID)
	must(t, err)
	if !reflect.DeepEqual(got.OriginalMessage, l.OriginalMessage) || len(got.Audit) != 3 || got.State != Discarded || s.Stats().Quarantined != 0 {
		t.Errorf("with the key again: %+v", got)
	}
}

func TestAfterARotationTheOldKeyOpensAndTheNewOneSeals(t *testing.T) {
	keys := []string{hexKey(1)}
	rotating, err := seal.New(func() ([]byte, error) { return []byte(strings.Join(keys, "\n")), nil })
	must(t, err)
	s := openSpool(t, Config{Seal: rotating})
	old, recent := letter("old"), letter("new")
	put(t, s, old)
	keys = []string{hexKey(2), hexKey(1)}
	put(t, s, recent)
	list, err := s.List(Filter{}, 0)
	must(t, err)
	if !reflect.DeepEqual(list, []*Letter{old, recent}) {
		t.Errorf("got %+v", list)
	}
	keys = []string{hexKey(2)}
	for l, sealed := range map[*Letter]bool{old: true, recent: false} {
		got, err := s.Get(l.ID)
		must(t, err)
		if (got.OriginalMessage.Whole() != nil) != sealed {
			t.Errorf("%s: %+v", l.Error.Message, got.OriginalMessage)
		}
	}
}

func TestAKeyThatCannotBeReadAnyMoreStaysInUse(t *testing.T) {
	var fault error
	secret := hexKey(1)
	failing, err := seal.New(func() ([]byte, error) { return []byte(secret), fault })
	must(t, err)
	s := openSpool(t, Config{Seal: failing})
	for _, spoil := range []func(){func() { fault = errors.New("gone") }, func() { fault, secret = nil, "no key" }} {
		spoil()
		l := letter("a")
		put(t, s, l)
		if got, err := s.Get(l.ID); err != nil || got.OriginalMessage.Whole() != nil || failing.Err() == nil {
			t.Errorf("%+v, %v, %v", got, err, failing.Err())
		}
	}
	if strings.Contains(failing.Err().Error(), secret) {
		t.Errorf("the secret is in %q", failing.Err())
	}
}

func TestAnOmittedBodyIsSaid(t *testing.T) {
	for name, sealer := range map[string]*seal.Sealer{"open": nil, "sealed": sealer(t, hexKey(1))} {
		s := openSpool(t, Config{OmitBody: true, Seal: sealer})
		l, empty := letter("a body"), letter("")
		put(t, s, l, empty)
		got, err := s.Get(l.ID)
		must(t, err)
		m := got.OriginalMessage
		if m.Body != nil || !m.BodyOmitted || m.BodyLength != 6 || m.BodyDigest != l.OriginalMessage.BodyDigest || string(l.OriginalMessage.Body) != "a body" {
			t.Errorf("%s: %+v", name, m)
		}
		if err := m.Whole(); !errors.Is(err, ErrBodyOmitted) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err = s.Get(empty.ID); err != nil || got.OriginalMessage.Whole() != nil {
			t.Errorf("%s: no body was called omitted: %+v, %v", name, got, err)
		}
	}
}
