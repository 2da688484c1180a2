//go:build e2e

package servers

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
)

// TestKafkaBrokerKilledWhileLettersAreForwarded kills the broker three times while letters come in and are forwarded,
// with a Send that gives up long before the broker is back, and restarts the forwarder as if its process had died.
func TestKafkaBrokerKilledWhileLettersAreForwarded(t *testing.T) {
	server := kafkaSetup{}.start(t)
	server.create("letters", 3, 3<<20)
	spool, err := dlq.Open(dlq.Config{Dir: t.TempDir(), Outbox: true})
	must(t, err)
	defer func() { _ = spool.Close() }()
	ids, stop, written := map[string]bool{}, make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				written <- nil
				return
			default:
			}
			l := &dlq.Letter{ID: dlq.NewID(), State: dlq.Dead, Metadata: dlq.Metadata{CorrelationID: fmt.Sprint(n % 100)}}
			if err := spool.Put(context.Background(), l); err != nil {
				written <- err
				return
			}
			ids[l.ID] = true
		}
	}()
	failures := uint64(0)
	forward := func(during func(*dlq.Forwarder)) {
		sink := openKafkaSink(t, dlq.KafkaConfig{Brokers: []string{server.address}, Topic: "letters", Timeout: time.Second})
		f := dlq.NewForwarder(dlq.ForwarderConfig{Spool: spool, Sink: sink})
		during(f)
		f.Close()
		must(t, sink.Close())
		failures += f.Stats().Failures
	}
	for range 3 {
		forward(func(f *dlq.Forwarder) {
			before := f.Stats().Forwarded
			eventually(t, 30*time.Second, "letters to be forwarded", func() bool { return f.Stats().Forwarded > before+200 })
			server.end(syscall.SIGKILL)
			eventually(t, 30*time.Second, "a failure", func() bool { return f.Stats().Failures > 0 })
			if s := f.Stats(); s.LastError == nil || s.FailingSince.IsZero() || s.Lag == 0 {
				t.Errorf("while the broker is away: %+v", s)
			}
			server.launch()
			eventually(t, 40*time.Second, "the sink to take letters again", func() bool { return f.Stats().FailingSince.IsZero() })
		})
	}
	close(stop)
	must(t, <-written)
	forward(func(f *dlq.Forwarder) {
		draining, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must(t, f.Flush(draining))
	})
	arrived := map[string]int{}
	for _, r := range server.records("letters") {
		for _, h := range r.Headers {
			if h.Key == "letter-id" {
				arrived[string(h.Value)]++
			}
		}
	}
	again := 0
	for id, n := range arrived {
		if again += n - 1; !ids[id] {
			t.Errorf("%s was never kept", id)
		}
	}
	lost := 0
	for id := range ids {
		if arrived[id] == 0 {
			lost++
		}
	}
	if lost > 0 || spool.Stats().Outbox != 0 || spool.Stats().ByState[dlq.Forwarded] != len(ids) {
		t.Errorf("%d letters are lost; the spool says %+v", lost, spool.Stats())
	}
	t.Logf("%d letters kept, 3 kills, %d batches failed, %d letters missing, %d arrived again", len(ids), failures, lost, again)
}
