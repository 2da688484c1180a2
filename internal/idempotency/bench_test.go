package idempotency_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

func BenchmarkEmbedded(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("begin+finish/callers=%d", callers), func(b *testing.B) {
			e := open(b, filepath.Join(b.TempDir(), "keys.db"), newClock())
			outcome := &idempotency.Outcome{Status: 200, Body: make([]byte, 1024)}
			spread(b, callers, func(i int) {
				r := request(fmt.Sprint(i))
				d, err := e.Begin(context.Background(), r)
				if err == nil {
					err = e.Finish(context.Background(), r.Scope, d.Owner, outcome, time.Hour)
				}
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
	b.Run("replay", func(b *testing.B) {
		e := open(b, filepath.Join(b.TempDir(), "keys.db"), newClock())
		d := begin(b, e, "k", idempotency.Granted)
		must(b, e.Finish(b.Context(), request("k").Scope, d.Owner, &idempotency.Outcome{Status: 200, Body: make([]byte, 1024)}, time.Hour))
		r := request("k")
		b.ReportAllocs()
		for b.Loop() {
			_, _ = e.Begin(b.Context(), r)
		}
	})
}

// The server of BenchmarkRedis is a toy: what counts is allocations on this side.
func BenchmarkRedis(b *testing.B) {
	store := newServer(b).store(b, idempotency.RedisOptions{})
	outcome := &idempotency.Outcome{Status: 200, Body: make([]byte, 1024)}
	b.Run("begin+finish/callers=64", func(b *testing.B) {
		b.ReportAllocs()
		spread(b, 64, func(i int) {
			r := request(fmt.Sprint(b.N, "/", i))
			d, err := store.Begin(context.Background(), r)
			if err == nil {
				err = store.Finish(context.Background(), r.Scope, d.Owner, outcome, time.Hour)
			}
			if err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("in flight here", func(b *testing.B) {
		q := request("held")
		_, _ = store.Begin(context.Background(), q)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = store.Begin(context.Background(), q)
		}
	})
}

func spread(b *testing.B, callers int, do func(i int)) {
	next := make(chan int, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		next <- i
	}
	close(next)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}
