//go:build e2e

package servers

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/dlq/sinktest"
	"github.com/fsm-integrations/sidecar/internal/shared"
)

// TestRedisStreamAsSink runs the suite of the sinks against one real Redis that keeps what it acknowledges, and that is
// killed (SIGKILL) wherever the suite wants a server to go away.
func TestRedisStreamAsSink(t *testing.T) {
	server := startRedis(t, "appendonly yes", "appendfsync always")
	client, err := shared.Open(shared.Config{Addresses: []string{server.address}, Prefix: "test"})
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	n := 0
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		n++
		stream := fmt.Sprint("integration.dlq.", n)
		sink := dlq.OpenStream(client, stream)
		t.Cleanup(func() { _ = sink.Close() })
		return sinktest.Subject{
			Sink:  sink,
			Read:  func(t *testing.T) []sinktest.Arrival { return streamArrivals(t, server, stream) },
			Stop:  func(*testing.T) { server.end(syscall.SIGKILL) },
			Start: func(*testing.T) { server.launch() },
		}
	})
}

func streamArrivals(t *testing.T, server *redisServer, stream string) (list []sinktest.Arrival) {
	t.Helper()
	entries, err := server.client.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fields := map[string]string{}
		for name, value := range e.Values {
			fields[name] = fmt.Sprint(value)
		}
		a := sinktest.Arrival{Key: fields["correlation-id"], Value: []byte(fields["letter"]), Notes: fields}
		delete(fields, "correlation-id")
		delete(fields, "letter")
		list = append(list, a)
	}
	return list
}
