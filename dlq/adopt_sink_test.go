package dlq_test

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/shared"
)

// pod is a spool that forwards to the stream of all pods.
func pod(t *testing.T, c *shared.Client) (*dlq.Spool, func()) {
	t.Helper()
	spool, err := dlq.Open(dlq.Config{Dir: t.TempDir(), Outbox: true})
	if err != nil {
		t.Fatal(err)
	}
	sink := dlq.OpenStream(c, "integration.dlq")
	f := dlq.NewForwarder(dlq.ForwarderConfig{Spool: spool, Sink: sink})
	t.Cleanup(func() {
		f.Close()
		_, _ = sink.Close(), spool.Close()
	})
	return spool, func() {
		t.Helper()
		if err := f.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func waiting(t *testing.T, c *shared.Client) (list []*dlq.Letter) {
	t.Helper()
	err := dlq.ReadStream(t.Context(), c, "integration.dlq", dlq.Filter{}, func(l *dlq.Letter) bool {
		list = append(list, l)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A pod dies; another takes its letter over from the sink and closes it, and the sink tells everybody that it is closed.
func TestALetterOutlivesItsPod(t *testing.T) {
	redis := openRedis(t, miniredis.RunT(t))
	first, flush := pod(t, redis)
	l := &dlq.Letter{ID: dlq.NewID(), OriginalMessage: dlq.Message{Method: "POST", Target: "/orders", Body: []byte("{}")}, Metadata: dlq.Metadata{Adapter: "erp", CorrelationID: "c"}}
	if err := first.Put(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	flush()
	second, flush := pod(t, redis)
	for _, found := range waiting(t, redis) {
		if taken, err := second.Adopt(t.Context(), found, "ann"); err != nil || !taken {
			t.Fatalf("adopted %v, %v", taken, err)
		}
	}
	flush()
	if list := waiting(t, redis); len(list) != 1 || list[0].ID != l.ID || string(list[0].OriginalMessage.Body) != "{}" {
		t.Fatalf("%d letters wait after the adoption", len(list))
	}
	err := second.Update(t.Context(), l.ID, func(l *dlq.Letter) error { l.State = dlq.Replayed; return nil })
	if err != nil {
		t.Fatal(err)
	}
	flush()
	if list := waiting(t, redis); len(list) != 0 {
		t.Errorf("%d letters wait after the replay", len(list))
	}
}
