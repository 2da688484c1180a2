package dlq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

func day(n int) time.Time { return time.Date(2026, 11, n, 8, 0, 0, 0, time.UTC) }

func openSpool(t testing.TB, c Config) *Spool {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := Open(c)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// letter makes a complete letter; its text stands in the body and the error.
func letter(text string) *Letter {
	return &Letter{
		ID: NewID(), State: Dead,
		OriginalMessage: Message{
			Method: "POST", URL: "https://sales.example/orders", Target: "/orders?a=1", Body: []byte(text), BodyDigest: "sha-256=:x:",
			Headers: []HeaderRow{{"Content-Type", "application/json"}, {"X-A", "1"}, {"x-a", "2"}},
		},
		Error: Failure{Message: text, Code: "503", Type: problem.TypeServerError},
		Metadata: Metadata{
			Attempts: 2, FirstAttempt: day(1), LastAttempt: day(1).Add(time.Second), CorrelationID: "c", AdapterID: "sales-id",
			Adapter: "sales", TenantID: "t", IdempotencyKey: "key-" + text, Scope: "scope-" + text, Created: day(1),
		},
		Attempts: []Attempt{{Number: 1, Start: day(1), Duration: time.Second, Status: 503, Sent: true}},
	}
}

func put(t testing.TB, s *Spool, letters ...*Letter) {
	t.Helper()
	for _, l := range letters {
		must(t, s.Put(t.Context(), l))
	}
}

func texts(letters []*Letter) (list []string) {
	for _, l := range letters {
		list = append(list, l.Error.Message)
	}
	return list
}

func TestPutThenGet(t *testing.T) {
	s := openSpool(t, Config{})
	full, bare := letter("a"), &Letter{ID: "x", OriginalMessage: Message{Headers: []HeaderRow{}}, Attempts: []Attempt{}}
	put(t, s, full, bare)
	got, err := s.Get(full.ID)
	must(t, err)
	if !reflect.DeepEqual(got, full) {
		t.Errorf("got  %+v\nwant %+v", got, full)
	}
	got, err = s.Get("x")
	must(t, err)
	if got.State != Dead || got.Metadata.Created.IsZero() || bare.State != "" || len(got.OriginalMessage.Body) != 0 {
		t.Errorf("got %+v, the caller's %+v", got, bare)
	}
	if !s.Has("x") || s.Has("y") {
		t.Error("Has")
	}
	if _, err := s.Get("y"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestPutTwiceKeepsTheFirst(t *testing.T) {
	s := openSpool(t, Config{})
	l := letter("a")
	put(t, s, l)
	must(t, s.Discard(t.Context(), l.ID, "me"))
	put(t, s, l)
	got, err := s.Get(l.ID)
	must(t, err)
	if got.State != Discarded || s.Stats().ByState[Dead] != 0 {
		t.Fatalf("state %s, %+v", got.State, s.Stats())
	}
}

func TestPutRefusesWhatIsNoLetter(t *testing.T) {
	s := openSpool(t, Config{})
	for _, l := range []*Letter{{}, {ID: strings.Repeat("x", 129)}, {ID: "x", State: "lost"}} {
		if err := s.Put(t.Context(), l); err == nil {
			t.Errorf("kept %+v", l)
		}
	}
}

func TestIDsSortByTime(t *testing.T) {
	last := NewID()
	for range 10_000 {
		id := NewID()
		if id <= last {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dlq")
	openSpool(t, Config{Dir: dir})
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "letters.db"): 0o600} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s: %o", path, info.Mode().Perm())
		}
	}
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, groupcommit.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
}

func TestListIsOldestFirstAndFiltered(t *testing.T) {
	s := openSpool(t, Config{})
	var want []string
	for i := range 150 { // more than one piece
		l := letter(fmt.Sprint(i))
		l.Metadata.Created = day(1).Add(time.Duration(i) * time.Hour)
		if i%2 == 1 {
			l.Metadata.TenantID = "odd"
		}
		put(t, s, l)
		want = append(want, fmt.Sprint(i))
	}
	for name, c := range map[string]struct {
		filter Filter
		limit  int
		want   []string
	}{
		"all":      {Filter{}, 0, want},
		"limit":    {Filter{}, 3, want[:3]},
		"until":    {Filter{Until: day(1).Add(2 * time.Hour)}, 0, want[:2]},
		"since":    {Filter{Since: day(1).Add(148 * time.Hour)}, 0, want[148:]},
		"tenant":   {Filter{Tenant: "odd"}, 2, []string{"1", "3"}},
		"key":      {Filter{Key: "key-77"}, 0, []string{"77"}},
		"state":    {Filter{States: []State{Discarded}}, 0, nil},
		"adapter":  {Filter{Adapter: "erp"}, 0, nil},
		"of error": {Filter{ErrorType: problem.TypeServerError}, 1, want[:1]},
	} {
		got, err := s.List(c.filter, c.limit)
		must(t, err)
		if !reflect.DeepEqual(texts(got), c.want) {
			t.Errorf("%s: got %v, want %v", name, texts(got), c.want)
		}
	}
}

func TestEachMayChangeTheSpool(t *testing.T) {
	s := openSpool(t, Config{})
	for i := range 200 {
		put(t, s, letter(fmt.Sprint(i)))
	}
	n := 0
	must(t, s.Each(Filter{States: []State{Dead}}, func(l *Letter) bool {
		n++
		must(t, s.Discard(t.Context(), l.ID, "me"))
		return true
	}))
	if n != 200 || s.Stats().ByState[Discarded] != 200 {
		t.Fatalf("visited %d, %+v", n, s.Stats())
	}
}

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

func TestStatsAreTheSameAfterAReopen(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, Config{Dir: dir, MaxBytes: 1 << 20})
	letters := []*Letter{letter("a"), letter("b"), letter("c"), letter("d")}
	for i, l := range letters {
		l.Metadata.Created = day(1 + i)
	}
	letters[2].Metadata.AdapterID = "erp-id"
	put(t, s, letters...)
	must(t, s.Discard(t.Context(), letters[0].ID, "me"))
	must(t, s.Update(t.Context(), letters[1].ID, func(l *Letter) error { l.State = Forwarded; return nil }))
	before := s.Stats()
	if !before.Oldest.Equal(day(2)) || before.MaxBytes != 1<<20 || before.Bytes == 0 ||
		!reflect.DeepEqual(before.OpenByAdapter, map[string]int{"sales-id": 2, "erp-id": 1}) {
		t.Errorf("%+v", before)
	}
	must(t, s.Close())
	s = openSpool(t, Config{Dir: dir, MaxBytes: 1 << 20})
	if after := s.Stats(); !reflect.DeepEqual(after, before) {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	if n, err := s.ResolveScope(t.Context(), "scope-b", "me"); n != 1 || err != nil {
		t.Errorf("resolved %d, %v", n, err)
	}
}

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
	if got := s.Stats(); got.Evicted != 2 || got.Bytes > got.MaxBytes {
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

func TestErrorsNameNoPath(t *testing.T) {
	s := openSpool(t, Config{})
	must(t, s.Close())
	_, errGet := s.Get("x")
	_, errList := s.List(Filter{}, 0)
	_, errExpire := s.Expire(t.Context(), time.Now())
	for i, err := range []error{s.Put(t.Context(), letter("a")), errGet, errList, errExpire, s.Discard(t.Context(), "x", "me")} {
		if err == nil || strings.Contains(err.Error(), s.config.Dir) || !strings.Contains(err.Error(), "spool") {
			t.Errorf("%d: %v", i, err)
		}
	}
	if s.Has("x") {
		t.Error("Has")
	}
	_ = s.Stats()
}

func TestEverythingAtOnce(t *testing.T) {
	s := openSpool(t, Config{})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				l := letter(fmt.Sprint(w, i))
				if err := s.Put(t.Context(), l); err != nil {
					t.Error(err)
				}
				if n, err := s.ResolveScope(t.Context(), l.Metadata.Scope, "me"); n != 1 || err != nil {
					t.Errorf("resolved %d, %v", n, err)
				}
				_ = s.Stats()
				if _, err := s.List(Filter{Tenant: "t"}, 5); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := s.Stats(); got.ByState[Resolved] != 200 || len(got.OpenByAdapter) != 0 || !got.Oldest.IsZero() || len(s.tally.scopes) != 0 {
		t.Errorf("%+v, scopes %v", got, s.tally.scopes)
	}
}
