package groupcommit

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

func BenchmarkDo(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "x.db"))
			value := make([]byte, 1024)
			next := make(chan int, writers)
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for i := range next {
						key := fmt.Appendf(nil, "%012d", i)
						_ = db.Do(context.Background(), func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
					}
				})
			}
			for i := range b.N {
				next <- i
			}
			close(next)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
