//go:build e2e

package servers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/dlq/sinktest"
)

func openKafkaSink(t *testing.T, c dlq.KafkaConfig) *dlq.Kafka {
	t.Helper()
	sink, err := dlq.OpenKafka(c)
	must(t, err)
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

// arrivals are the records of a topic as the suite wants them.
func arrivals(records []*kgo.Record) []sinktest.Arrival {
	list := make([]sinktest.Arrival, len(records))
	for i, r := range records {
		list[i] = sinktest.Arrival{Key: string(r.Key), Value: r.Value, Notes: map[string]string{}}
		for _, h := range r.Headers {
			list[i].Notes[h.Key] = string(h.Value)
		}
	}
	return list
}

// TestKafkaBrokerAsSink runs the suite of the sinks against one real broker, which is killed (SIGKILL) wherever the
// suite wants a server to go away.
func TestKafkaBrokerAsSink(t *testing.T) {
	server := kafkaSetup{}.start(t)
	n := 0
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		n++
		topic := fmt.Sprint("integration.dlq.", n)
		server.create(topic, 3, 3<<20)
		return sinktest.Subject{
			Sink:     openKafkaSink(t, dlq.KafkaConfig{Brokers: []string{server.address}, Topic: topic}),
			Read:     func(*testing.T) []sinktest.Arrival { return arrivals(server.records(topic)) },
			Stop:     func(*testing.T) { server.end(syscall.SIGKILL) },
			Start:    func(*testing.T) { server.launch() },
			TooLarge: 6 << 20,
		}
	})
}

func TestKafkaTopicThatIsMissingIsNotCreated(t *testing.T) {
	server := kafkaSetup{}.start(t)
	sink := openKafkaSink(t, dlq.KafkaConfig{Brokers: []string{server.address}, Topic: "nobody.made.this"})
	if err := sink.Send(t.Context(), []*dlq.Letter{{ID: "a", State: dlq.Dead}}); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Fatalf("got %v", err)
	}
	server.create("nobody.made.this", 1, 1<<20) // fails when there is one
	if err := sink.Send(t.Context(), []*dlq.Letter{{ID: "a", State: dlq.Dead}}); err != nil {
		t.Fatal(err)
	}
}

func TestKafkaLettersAreReadBack(t *testing.T) {
	server := kafkaSetup{}.start(t)
	server.create("letters", 3, 3<<20)
	c := dlq.KafkaConfig{Brokers: []string{server.address}, Topic: "letters"}
	sink := openKafkaSink(t, c)
	var list []*dlq.Letter
	want := 0
	for i := range 2000 {
		l := &dlq.Letter{ID: dlq.NewID(), State: dlq.Dead, Metadata: dlq.Metadata{CorrelationID: fmt.Sprint(i % 50), Created: time.Now()}}
		if list = append(list, l); i%3 == 0 {
			closed := *l
			closed.State = dlq.Replayed
			list = append(list, &closed)
		} else {
			want++
		}
	}
	must(t, sink.Send(t.Context(), list))
	var last time.Time
	must(t, dlq.ReadKafka(t.Context(), c, dlq.Filter{}, func(l *dlq.Letter) bool {
		if want--; l.Metadata.Created.Before(last) {
			t.Errorf("%s of %s comes after %s", l.ID, l.Metadata.Created, last)
		}
		last = l.Metadata.Created
		return true
	}))
	if want != 0 {
		t.Errorf("%d letters too few", want)
	}
}

func TestKafkaWithTLSAndLogin(t *testing.T) {
	ca := newAuthority(t)
	server := kafkaSetup{tls: ca, username: "sidecar", password: "right"}.start(t)
	server.create("secure", 1, 1<<20)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	trusting := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	letter := []*dlq.Letter{{ID: "a", State: dlq.Dead}}
	send := func(secure *tls.Config, mechanism, password string) error {
		c := dlq.KafkaConfig{Brokers: []string{server.secure}, Topic: "secure", TLS: func() *tls.Config { return secure }, Timeout: 5 * time.Second,
			Login: &dlq.KafkaLogin{Mechanism: mechanism, Username: "sidecar", Password: func() (string, error) { return password, nil }}}
		sink := openKafkaSink(t, c)
		if err := sink.Send(t.Context(), letter); err != nil {
			return err
		}
		return dlq.ReadKafka(t.Context(), c, dlq.Filter{}, func(*dlq.Letter) bool { return true })
	}
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		must(t, send(trusting, mechanism, "right"))
		if err := send(trusting, mechanism, "wrong"); !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("%s with a wrong password: %v", mechanism, err)
		}
	}
	if err := send(&tls.Config{MinVersion: tls.VersionTLS12}, "plain", "right"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a broker with an unknown certificate: %v", err)
	}
	if n := len(server.records("secure")); n != 3 {
		t.Errorf("%d letters arrived, want 3", n)
	}
}
