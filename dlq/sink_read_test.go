package dlq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fsm-integrations/sidecar/dlq"
)

// readable is a sink that can be read back.
type readable struct {
	sink    dlq.Sink
	read    func(context.Context, dlq.Filter, func(*dlq.Letter) bool) error
	foreign func(t *testing.T) // adds an entry that is no letter
}

// eachReadable runs a test with Kafka and with a Redis stream.
func eachReadable(t *testing.T, test func(*testing.T, readable)) {
	t.Helper()
	t.Run("Kafka", func(t *testing.T) {
		f := startFake(t)
		test(t, readable{sink: f.sink(t), foreign: func(t *testing.T) { produce(t, f, &kgo.Record{Value: []byte("hello")}) },
			read: func(ctx context.Context, filter dlq.Filter, visit func(*dlq.Letter) bool) error {
				return dlq.ReadKafka(ctx, f.config(), filter, visit)
			}})
	})
	t.Run("Redis", func(t *testing.T) {
		server := miniredis.RunT(t)
		client := openRedis(t, server)
		sink := dlq.OpenStream(client, topic)
		t.Cleanup(func() { _ = sink.Close() })
		test(t, readable{sink: sink, foreign: func(t *testing.T) { must(t, second(server.XAdd(topic, "*", []string{"hello", "you"}))) },
			read: func(ctx context.Context, filter dlq.Filter, visit func(*dlq.Letter) bool) error {
				return dlq.ReadStream(ctx, client, topic, filter, visit)
			}})
	})
}

func second(_ string, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// aged makes a letter that was created some minutes after another time; its id is its name.
func aged(name string, minute int, state dlq.State) *dlq.Letter {
	return &dlq.Letter{ID: name, State: state, OriginalMessage: dlq.Message{Body: []byte("body of " + name)},
		Metadata: dlq.Metadata{CorrelationID: "c-" + name, Adapter: "sales", AdapterID: "sales-id",
			Created: time.Date(2026, 11, 23, 8, minute, 0, 0, time.UTC)}}
}

// visited reads everything and returns the ids in the order of the visits.
func visited(t *testing.T, s readable, filter dlq.Filter) (ids []string) {
	t.Helper()
	must(t, s.read(t.Context(), filter, func(l *dlq.Letter) bool {
		ids = append(ids, l.ID)
		if want := "body of " + l.ID; string(l.OriginalMessage.Body) != want {
			t.Errorf("%s has the body %q", l.ID, l.OriginalMessage.Body)
		}
		return true
	}))
	return ids
}

func TestReadingVisitsOpenLettersFromTheOldest(t *testing.T) {
	eachReadable(t, func(t *testing.T, s readable) {
		if ids := visited(t, s, dlq.Filter{}); len(ids) > 0 {
			t.Errorf("visited %v of nothing", ids)
		}
		must(t, s.sink.Send(t.Context(), []*dlq.Letter{
			aged("e", 5, dlq.Dead), aged("a", 1, dlq.Dead), aged("replayed", 2, dlq.Dead), aged("b", 2, dlq.Dead),
			aged("b", 2, dlq.Forwarded), aged("replayed", 2, dlq.Replayed), aged("a", 1, dlq.Dead),
			aged("discarded", 1, dlq.Discarded), aged("discarded", 1, dlq.Dead), // sent again after a crash
			aged("resolved", 3, dlq.Resolved), aged("d", 4, dlq.Dead), aged("c", 3, dlq.Dead),
		}))
		if ids := visited(t, s, dlq.Filter{}); fmt.Sprint(ids) != "[a b c d e]" {
			t.Errorf("visited %v", ids)
		}
	})
}

func TestReadingVisitsOnlyWhatTheFilterChooses(t *testing.T) {
	eachReadable(t, func(t *testing.T, s readable) {
		other := aged("other", 3, dlq.Dead)
		other.Metadata.Adapter, other.Metadata.AdapterID = "erp", "erp-id"
		must(t, s.sink.Send(t.Context(), []*dlq.Letter{aged("a", 1, dlq.Dead), aged("b", 2, dlq.Dead), other, aged("c", 4, dlq.Dead)}))
		since := aged("", 2, dlq.Dead).Metadata.Created
		if ids := visited(t, s, dlq.Filter{Adapter: "sales", Since: since}); fmt.Sprint(ids) != "[b c]" {
			t.Errorf("visited %v", ids)
		}
		n := 0
		must(t, s.read(t.Context(), dlq.Filter{}, func(*dlq.Letter) bool { n++; return n < 2 }))
		if n != 2 {
			t.Errorf("visited %d, want 2 and no more", n)
		}
	})
}

func TestReadingTellsOfEntriesThatAreNoLetters(t *testing.T) {
	eachReadable(t, func(t *testing.T, s readable) {
		must(t, s.sink.Send(t.Context(), []*dlq.Letter{aged("a", 1, dlq.Dead)}))
		s.foreign(t)
		s.foreign(t)
		must(t, s.sink.Send(t.Context(), []*dlq.Letter{aged("b", 2, dlq.Dead)}))
		n := 0
		err := s.read(t.Context(), dlq.Filter{}, func(*dlq.Letter) bool { n++; return true })
		var unreadable *dlq.UnreadableError
		if !errors.As(err, &unreadable) || unreadable.Count != 2 || n != 2 {
			t.Errorf("visited %d: %v", n, err)
		}
	})
}

func TestReadingMoreThanFitsIntoMemoryAtOnce(t *testing.T) {
	eachReadable(t, func(t *testing.T, s readable) {
		var list []*dlq.Letter
		var want []string
		for i := range 3000 {
			l := aged(fmt.Sprintf("%04d", i), 0, dlq.Dead)
			if i > 200 && i < 2900 && i%100 != 0 {
				l.State = dlq.Resolved // a gap
			} else {
				want = append(want, l.ID)
			}
			l.Metadata.Created = l.Metadata.Created.Add(time.Duration(i) * time.Second)
			list = append(list, l)
		}
		slices.Reverse(list[1000:]) // sent in another order than created
		must(t, s.sink.Send(t.Context(), list))
		if ids := visited(t, s, dlq.Filter{}); !slices.Equal(ids, want) {
			t.Errorf("visited %d, want %d\n%v", len(ids), len(want), ids)
		}
	})
}

func TestReadingEndsWithItsContext(t *testing.T) {
	eachReadable(t, func(t *testing.T, s readable) {
		must(t, s.sink.Send(t.Context(), []*dlq.Letter{aged("a", 1, dlq.Dead)}))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.read(ended, dlq.Filter{}, func(*dlq.Letter) bool { return true }); err == nil {
			t.Error("no error")
		}
	})
}

func TestReadingATopicThatIsMissing(t *testing.T) {
	c := startFake(t).config()
	c.Topic = "other"
	if err := dlq.ReadKafka(t.Context(), c, dlq.Filter{}, nil); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("got %v", err)
	}
}

func TestReadingLettersOfAnotherProducerToATopicThatEndsWithAControlRecord(t *testing.T) {
	f := startFake(t)
	producer, err := kgo.NewClient(kgo.SeedBrokers(f.ListenAddrs()...), kgo.TransactionalID("x"))
	must(t, err)
	defer producer.Close()
	value, err := json.Marshal(aged("a", 1, dlq.Dead))
	must(t, err)
	must(t, producer.BeginTransaction())
	must(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value}).FirstErr()) // without headers
	must(t, producer.EndTransaction(t.Context(), kgo.TryCommit))
	n := 0
	must(t, dlq.ReadKafka(t.Context(), f.config(), dlq.Filter{}, func(*dlq.Letter) bool { n++; return true }))
	if n != 1 {
		t.Errorf("visited %d", n)
	}
}

func produce(t *testing.T, f *fakeKafka, r *kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.ListenAddrs()...))
	must(t, err)
	defer client.Close()
	r.Topic = topic
	must(t, client.ProduceSync(t.Context(), r).FirstErr())
}
