package recent

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func numbers(l *Log) string {
	var b strings.Builder
	for _, x := range l.Exchanges() {
		fmt.Fprintf(&b, "%d ", x.Number)
	}
	return strings.TrimSpace(b.String())
}

func TestWhatWentWrongOutlivesTrafficThatIsFine(t *testing.T) {
	l := NewLog()
	l.Note(&Exchange{ErrorType: "network", AttemptsTotal: 1})
	l.Note(&Exchange{AttemptsTotal: 2})
	l.Note(&Exchange{LetterLost: true})
	for range 5 * Ring {
		l.Note(&Exchange{AttemptsTotal: 1})
	}
	all := l.Exchanges()
	if len(all) != Ring+3 || l.Last() != 5*Ring+3 {
		t.Fatalf("%d exchanges, last %d", len(all), l.Last())
	}
	for i, x := range all[:Ring] {
		if want := uint64(5*Ring + 3 - i); x.Number != want {
			t.Fatalf("exchange %d has number %d, want %d: newest first", i, x.Number, want)
		}
	}
	if got := fmt.Sprint(all[Ring].Number, all[Ring+1].Number, all[Ring+2].Number); got != "3 2 1" {
		t.Errorf("beyond them are %s", got)
	}
}

func TestAnExchangeInBothRingsIsToldOnce(t *testing.T) {
	l := NewLog()
	l.Note(&Exchange{ErrorType: "timeout"})
	l.Note(&Exchange{})
	if got := numbers(l); got != "2 1" {
		t.Error(got)
	}
}

func TestStrangersTextsAreCutAndCopied(t *testing.T) {
	l := NewLog()
	line := "GET /" + strings.Repeat("ä", 1000) + "?secret=hunter2 HTTP/1.1"
	x := &Exchange{Method: line[:3], Path: line[4:2000], CorrelationID: strings.Repeat("c", 1000), Tenant: strings.Repeat("t", 1000), Detail: strings.Repeat("d", 1000)}
	l.Note(x)
	for name, text := range map[string]string{"path": x.Path, "correlation id": x.CorrelationID, "tenant": x.Tenant, "detail": x.Detail} {
		if len(text) > maxText+len("…") || !strings.HasSuffix(text, "…") || strings.ContainsRune(text, '\uFFFD') {
			t.Errorf("%s is kept as %d bytes: %.20q…", name, len(text), text)
		}
	}
	if x.Method != "GET" {
		t.Error(x.Method)
	}
	if long := method(strings.Repeat("M", 100)); len(long) > 40 {
		t.Error(long)
	}
	if got := Error(strings.Repeat("e", 1000)); len(got) > maxError+len("…") {
		t.Error(len(got))
	}
}

func TestAFullLogStaysBelowAMegabyte(t *testing.T) {
	fill := func() *Log {
		l := NewLog()
		for range 2 * Ring {
			x := &Exchange{Path: strings.Repeat("p", 4000), CorrelationID: strings.Repeat("c", 128), Tenant: strings.Repeat("t", 128), ErrorType: "network", AttemptsTotal: 12}
			for range MaxAttempts {
				x.Attempts = append(x.Attempts, Attempt{Error: Error(strings.Repeat("e", 4000))})
			}
			l.Note(x)
		}
		for i := range 5 {
			l.Adapter(fmt.Sprint("adapter-", i)).Count(time.Now(), time.Second, true)
		}
		return l
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := fill()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("a full log holds %d bytes", grown)
	}
	runtime.KeepAlive(l)
}

func TestNobodyRemembersOnNil(t *testing.T) {
	var l *Log
	l.Note(&Exchange{})
	l.Adapter("sales").Count(time.Now(), time.Second, true)
	l.Forget("sales")
	if len(l.Exchanges()) != 0 || l.Last() != 0 || len(l.Series(time.Now())) != 0 {
		t.Error("a log of nothing remembers")
	}
}

func TestManyMayWriteAndReadAtOnce(t *testing.T) {
	l := NewLog()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				l.Note(&Exchange{AttemptsTotal: 2})
				l.Adapter("sales").Count(time.Now(), time.Millisecond, true)
			}
		})
		all.Go(func() {
			for range 20 {
				l.Exchanges()
				l.Series(time.Now())
			}
		})
	}
	all.Wait()
	if l.Last() != 2000 || l.Series(time.Now())["sales"].Total != 2000 {
		t.Errorf("%d exchanges, %+v", l.Last(), l.Series(time.Now())["sales"].Total)
	}
}

func BenchmarkNote(b *testing.B) {
	l := NewLog()
	a := l.Adapter("sales")
	now := time.Now()
	line := "POST /api/v2/orders/intake?token=hunter2 HTTP/1.1"
	b.ReportAllocs()
	for b.Loop() {
		l.Note(&Exchange{Start: now, Method: line[:4], Path: line[5:26], Adapter: "sales-system", AttemptsTotal: 1, Status: 201,
			Attempts: make([]Attempt, 1), CorrelationID: "0198f0c2-7a35-7c11-9d3a-4be1c2a90d11"})
		a.Count(now, 20*time.Millisecond, true)
	}
}
