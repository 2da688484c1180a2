package dlq_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/dlq/sinktest"
)

const topic = "integration.dlq"

// fakeKafka is a broker in this process that can go away and come back at its address.
type fakeKafka struct {
	*kfake.Cluster
	options []kfake.Opt
}

func startFake(t *testing.T, options ...kfake.Opt) *fakeKafka {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	f := &fakeKafka{options: append([]kfake.Opt{kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(t.TempDir()), kfake.SeedTopics(3, topic)}, options...)}
	f.start(t)
	t.Cleanup(func() { f.Close() })
	return f
}

func (f *fakeKafka) start(t *testing.T) {
	t.Helper()
	cluster, err := kfake.NewCluster(f.options...)
	if err != nil {
		t.Fatal(err)
	}
	f.Cluster = cluster
}

func (f *fakeKafka) config() dlq.KafkaConfig {
	return dlq.KafkaConfig{Brokers: f.ListenAddrs(), Topic: topic, Timeout: 5 * time.Second}
}

func (f *fakeKafka) sink(t *testing.T) *dlq.Kafka {
	t.Helper()
	return openKafka(t, f.config())
}

func openKafka(t *testing.T, c dlq.KafkaConfig) *dlq.Kafka {
	t.Helper()
	sink, err := dlq.OpenKafka(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

func TestKafkaIsASink(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		f := startFake(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "3000000"}))
		return sinktest.Subject{
			Sink:     f.sink(t),
			Read:     func(t *testing.T) []sinktest.Arrival { return kafkaArrivals(t, f.ListenAddrs()) },
			Stop:     func(*testing.T) { f.Close() },
			Start:    f.start,
			TooLarge: 4 << 20,
		}
	})
}

// kafkaArrivals reads the topic to its end with a plain consumer.
func kafkaArrivals(t *testing.T, brokers []string) (list []sinktest.Arrival) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	want := recordsIn(t, client)
	for int64(len(list)) < want {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(list), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			a := sinktest.Arrival{Key: string(r.Key), Value: r.Value, Notes: map[string]string{}}
			for _, h := range r.Headers {
				a.Notes[h.Key] = string(h.Value)
			}
			list = append(list, a)
		})
	}
	return list
}

func recordsIn(t *testing.T, client *kgo.Client) (n int64) {
	t.Helper()
	for p := range int32(3) {
		request := kmsg.NewListOffsetsRequest()
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p, -1
		request.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
		reply, err := request.RequestWith(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		n += reply.Topics[0].Partitions[0].Offset
	}
	return n
}

func someLetters(n int) []*dlq.Letter {
	list := make([]*dlq.Letter, n)
	for i := range list {
		list[i] = &dlq.Letter{ID: dlq.NewID(), State: dlq.Dead, Metadata: dlq.Metadata{CorrelationID: fmt.Sprint("c-", i%3), Created: time.Now()}}
	}
	return list
}

func TestABatchThatIsRefusedAsAWholeArrivesOneByOne(t *testing.T) {
	f := startFake(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "2000"}))
	list := someLetters(50)
	if err := f.sink(t).Send(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if arrived := kafkaArrivals(t, f.ListenAddrs()); len(arrived) != len(list) {
		t.Fatalf("%d arrived, want %d", len(arrived), len(list))
	}
}

func TestATopicThatIsMissingIsAnErrorAndIsNotCreated(t *testing.T) {
	t.Parallel()
	f := startFake(t, kfake.AllowAutoTopicCreation())
	c := f.config()
	c.Topic = "other"
	err := openKafka(t, c).Send(t.Context(), someLetters(1))
	var refused *dlq.RefusedError
	if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "other") {
		t.Fatalf("got %v", err)
	}
	if f.TopicInfo("other") != nil {
		t.Error("the topic was created")
	}
}

func TestABrokerThatDoesNotAnswerCostsNoMoreThanTheTimeout(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c := f.config()
	c.Timeout = 2 * time.Second
	sink := openKafka(t, c)
	if err := sink.Send(t.Context(), someLetters(1)); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	f.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		f.SleepControl(func() { <-release })
		return nil, nil, false
	})
	for _, patience := range []time.Duration{200 * time.Millisecond, time.Minute} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		start := time.Now()
		err := sink.Send(ctx, someLetters(2))
		cancel()
		if took := time.Since(start); err == nil || took > min(patience, c.Timeout)+2*time.Second {
			t.Errorf("a Send with %s took %s: %v", patience, took, err)
		}
	}
}

func TestAFailureOfTheBrokerIsRetriedAndDoesNotRefuse(t *testing.T) {
	f := startFake(t)
	f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 3})
	list := someLetters(10)
	if err := f.sink(t).Send(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 1})
	err := f.sink(t).Send(t.Context(), list)
	var refused *dlq.RefusedError
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
}

func TestAnAnswerThatWasLostMakesNoDuplicateAsLongAsTheSendGoesOn(t *testing.T) {
	f := startFake(t)
	f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 2}) // the records are written
	list := someLetters(10)
	if err := f.sink(t).Send(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if arrived := kafkaArrivals(t, f.ListenAddrs()); len(arrived) != len(list) {
		t.Fatalf("%d arrived, want %d", len(arrived), len(list))
	}
}

// vault answers with what it was told last.
type vault struct {
	mu       sync.Mutex
	password string
	err      error
}

func (v *vault) tell(password string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.password, v.err = password, err
}

func (v *vault) read() (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.password, v.err
}

func TestKafkaIsAskedWithTheCurrentPassword(t *testing.T) {
	t.Parallel()
	for fake, mechanism := range map[string]string{"PLAIN": "plain", "SCRAM-SHA-256": "scram-sha-256", "SCRAM-SHA-512": "scram-sha-512"} {
		f := startFake(t, kfake.EnableSASL(), kfake.Superuser(fake, "me", "right"))
		v := &vault{password: "wrong"}
		c := f.config()
		c.Timeout = time.Second
		c.Login = &dlq.KafkaLogin{Mechanism: mechanism, Username: "me", Password: v.read}
		sink := openKafka(t, c)
		if err := sink.Send(t.Context(), someLetters(1)); err == nil {
			t.Errorf("%s: logged in with a wrong password", mechanism)
		}
		unreadable := errors.New("the secret cannot be read")
		v.tell("", unreadable)
		if err := sink.Send(t.Context(), someLetters(1)); !errors.Is(err, unreadable) {
			t.Errorf("%s: without a password: %v", mechanism, err)
		}
		v.tell("right", nil)
		if err := sink.Send(t.Context(), someLetters(1)); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}

func TestAConfigurationThatCannotWorkIsAnError(t *testing.T) {
	for _, c := range []dlq.KafkaConfig{{Topic: "t"}, {Brokers: []string{"a:1"}}, {Brokers: []string{"a:1"}, Topic: "t", Login: &dlq.KafkaLogin{Mechanism: "gssapi"}}} {
		if sink, err := dlq.OpenKafka(c); err == nil {
			_ = sink.Close()
			t.Errorf("opened %+v", c)
		}
	}
}
