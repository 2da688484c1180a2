//go:build e2e

package main

import (
	"context"
	"testing"
	"time"
)

func TestARedisOfItsOwnIsStartedReadAndStopped(t *testing.T) {
	r, err := newRedis(context.Background(), &site{dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	if err := r.start(context.Background()); err != nil {
		t.Fatal(err)
	}
	use, err := r.read()
	if err != nil || use.CPU <= 0 || use.Reads == 0 || use.scripts() != 0 {
		t.Fatalf("%+v, %v", use, err)
	}
	begin := time.Now()
	r.stop()
	if _, err := r.info(); err == nil || time.Since(begin) >= stopLimit {
		t.Errorf("it was not ended: %v after %v", err, time.Since(begin))
	}
}
