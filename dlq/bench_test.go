package dlq

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := openSpool(b, Config{MaxBytes: 64 << 30})
			text := strings.Repeat("x", 1024)
			next := make(chan struct{}, writers)
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for range next {
						if err := s.Put(context.Background(), letter(text)); err != nil {
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
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "letters/s")
		})
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
