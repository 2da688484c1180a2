package dlq

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// run does work b.N times from many goroutines, and returns how often a second.
func run(b *testing.B, writers int, work func() error) float64 {
	next := make(chan struct{}, writers)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range next {
				if err := work(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "letters/s")
	return rate
}

// BenchmarkPut keeps letters of 4 KiB, against the least that a promise to keep costs: a log to which one goroutine
// appends whatever waits, followed by one fsync.
func BenchmarkPut(b *testing.B) {
	text := strings.Repeat("x", 4<<10)
	for _, writers := range []int{1, 64} {
		var bare float64
		b.Run(fmt.Sprintf("log/writers=%d", writers), func(b *testing.B) {
			l := openLog(b)
			bare = run(b, writers, func() error {
				m := letter("")
				m.OriginalMessage.Body = []byte(text)
				head, err := encodeHead(m, nil, m.OriginalMessage.Body)
				if err != nil {
					return err
				}
				return l.append(head, m.OriginalMessage.Body)
			})
		})
		for name, c := range map[string]Config{"spool": {}, "spool+outbox": {Outbox: true}, "spool+seal": {Seal: sealer(b, hexKey(1))}} {
			b.Run(fmt.Sprintf("%s/writers=%d", name, writers), func(b *testing.B) {
				c.Dir, c.MaxBytes = b.TempDir(), 64<<30
				s := openSpool(b, c)
				rate := run(b, writers, func() error {
					m := letter("")
					m.OriginalMessage.Body = []byte(text)
					return s.Put(context.Background(), m)
				})
				b.ReportMetric(rate/bare, "of-log")
			})
		}
	}
}

// A log is the bare group commit: no index, no reading, no room made.
type log struct {
	file    *os.File
	mu      sync.Mutex
	waiting []entry
	wake    chan struct{}
}

type entry struct {
	parts [][]byte
	done  chan error
}

func openLog(b *testing.B) *log {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	must(b, err)
	l := &log{file: f, wake: make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() { defer close(ended); l.write() }()
	b.Cleanup(func() { close(l.wake); <-ended; _ = f.Close() })
	return l
}

func (l *log) append(parts ...[]byte) error {
	e := entry{parts, make(chan error, 1)}
	l.mu.Lock()
	l.waiting = append(l.waiting, e)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return <-e.done
}

func (l *log) write() {
	var buffer []byte
	for range l.wake {
		l.mu.Lock()
		batch := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		buffer = buffer[:0]
		for _, e := range batch {
			for _, p := range e.parts {
				buffer = append(buffer, p...)
			}
		}
		_, err := l.file.Write(buffer)
		if err == nil {
			err = l.file.Sync()
		}
		for _, e := range batch {
			e.done <- err
		}
	}
}

func BenchmarkResolveScopeWithoutLetters(b *testing.B) {
	s := openSpool(b, Config{})
	put(b, s, letter("other"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.ResolveScope(b.Context(), "1f0e", "me")
	}
}

func BenchmarkStats(b *testing.B) {
	s := openSpool(b, Config{})
	put(b, s, letter("other"))
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Stats()
	}
}
