package dlq_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/dlq/sinktest"
	"github.com/fsm-integrations/sidecar/internal/shared"
)

func TestAStreamIsASink(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		server := miniredis.RunT(t)
		sink := dlq.OpenStream(openRedis(t, server), "integration.dlq")
		t.Cleanup(func() { _ = sink.Close() })
		return sinktest.Subject{
			Sink: sink,
			Read: func(t *testing.T) []sinktest.Arrival { return streamArrivals(t, server) },
			Stop: func(*testing.T) { server.Close() },
			Start: func(t *testing.T) {
				if err := server.Restart(); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func openRedis(t *testing.T, server *miniredis.Miniredis) *shared.Client {
	t.Helper()
	c, err := shared.Open(shared.Config{Addresses: []string{server.Addr()}, Prefix: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func streamArrivals(t *testing.T, server *miniredis.Miniredis) (list []sinktest.Arrival) {
	t.Helper()
	entries, err := server.Stream("integration.dlq")
	if err != nil && err != miniredis.ErrKeyNotFound {
		t.Fatal(err)
	}
	for _, e := range entries {
		fields := map[string]string{}
		for i := 0; i+1 < len(e.Values); i += 2 {
			fields[e.Values[i]] = e.Values[i+1]
		}
		a := sinktest.Arrival{Key: fields["correlation-id"], Value: []byte(fields["letter"]), Notes: fields}
		delete(fields, "correlation-id")
		delete(fields, "letter")
		list = append(list, a)
	}
	return list
}

func TestAStreamThatIsNoStreamIsAnError(t *testing.T) {
	server := miniredis.RunT(t)
	if err := server.Set("integration.dlq", "x"); err != nil {
		t.Fatal(err)
	}
	sink := dlq.OpenStream(openRedis(t, server), "integration.dlq")
	defer func() { _ = sink.Close() }()
	if err := sink.Send(t.Context(), []*dlq.Letter{{ID: "a", Metadata: dlq.Metadata{Created: time.Now()}}}); err == nil {
		t.Fatal("no error")
	}
}
