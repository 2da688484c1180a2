package dlq

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// run does work n times from many goroutines.
func run(b *testing.B, writers, n int, work func() error) time.Duration {
	next := make(chan struct{}, writers)
	var wg sync.WaitGroup
	start := time.Now()
	for range writers {
		wg.Go(func() {
			for range next {
				if err := work(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range n {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	return time.Since(start)
}

// BenchmarkPut keeps letters of 4 KiB, each with a scope of its own, against the least that a promise to keep costs: a
// log to which one goroutine appends whatever waits, followed by one fsync. Both write the same letters, in turns of
// some hundred milliseconds, as the disk is never alone; of-log is the median over the turns of how fast the spool is
// in terms of the log. Give it some seconds: -benchtime 20000x.
func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 64} {
		for name, c := range map[string]Config{"spool": {}, "spool+outbox": {Outbox: true}, "spool+seal": {Seal: sealer(b, hexKey(1))}} {
			b.Run(fmt.Sprintf("%s/writers=%d", name, writers), func(b *testing.B) {
				c.Dir, c.MaxBytes = b.TempDir(), 64<<30
				s, l := openSpool(b, c), openLog(b)
				putBesideLog(b, writers, l, s)
			})
		}
	}
}

func putBesideLog(b *testing.B, writers int, l *log, s *Spool) {
	var ratios []float64
	var spent time.Duration
	turn := 128 * writers
	b.ResetTimer()
	for done := 0; done < b.N; done += turn {
		n := min(turn, b.N-done)
		bare := run(b, writers, n, func() error {
			m := benchLetter()
			head, err := encodeHead(m, nil, m.OriginalMessage.Body)
			if err != nil {
				return err
			}
			return l.append(head, m.OriginalMessage.Body)
		})
		kept := run(b, writers, n, func() error { return s.Put(context.Background(), benchLetter()) })
		ratios, spent = append(ratios, bare.Seconds()/kept.Seconds()), spent+kept
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-log")
	b.ReportMetric(float64(b.N)/spent.Seconds(), "letters/s")
}

func benchLetter() *Letter {
	m := letter("")
	scope := sha256.Sum256([]byte(m.ID)) // as long as those of the policies
	m.Metadata.Scope = hex.EncodeToString(scope[:])
	m.OriginalMessage.Body = bytes.Repeat([]byte("x"), 4<<10)
	return m
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
