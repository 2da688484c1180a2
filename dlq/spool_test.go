package dlq

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

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
			Headers: Headers{{"Content-Type", "application/json"}, {"X-A", "1, 2"}},
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
	full, bare := letter("a"), &Letter{ID: "x", OriginalMessage: Message{Headers: Headers{}}, Attempts: []Attempt{}}
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
	if got := s.Stats(); got.ByState[Resolved] != 200 || len(got.OpenByAdapter) != 0 || !got.Oldest.IsZero() || len(s.tally.scopes.first)+len(s.tally.scopes.more) != 0 {
		t.Errorf("%+v, scopes %v", got, s.tally.scopes)
	}
}

func TestLostLettersAreCounted(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), MaxBytes: 2 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	big := &Letter{ID: NewID(), OriginalMessage: Message{Body: make([]byte, 4<<10)}}
	if err := s.Put(t.Context(), big); err == nil {
		t.Fatal("a letter larger than the spool was taken")
	}
	if got := s.Stats(); got.Lost != 1 || got.LastLost.IsZero() || got.Failing == "" {
		t.Errorf("%+v", got)
	}
	if err := s.Put(t.Context(), &Letter{ID: NewID()}); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Lost != 1 || got.Failing != "" {
		t.Errorf("after a letter was taken: %+v", got)
	}
}
