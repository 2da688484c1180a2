package dlq

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// KafkaConfig says which topic, and how to reach it.
type KafkaConfig struct {
	Brokers []string // host:port of the first brokers to ask
	// Topic must exist: it is never created here, because its partitions, replicas and retention are for its owner to
	// decide. A letter as JSON is a third larger than its body, so the topic's max.message.bytes should be at least
	// 1.5 times the largest body; Kafka's default of 1 MiB is too small for bodies of 1 MiB. Its cleanup.policy is
	// delete: compaction would keep one letter of each correlation id.
	Topic   string
	TLS     func() *tls.Config // asked at each new connection, so that changed files are followed; nil: none
	Login   *KafkaLogin        // nil: none
	Timeout time.Duration      // the longest one Send, or one step of a read, may take; default 15 s
}

// KafkaLogin is a SASL login.
type KafkaLogin struct {
	Mechanism string // plain, scram-sha-256 or scram-sha-512
	Username  string
	Password  func() (string, error) // asked for at each login, so that a changed secret is followed
}

const (
	defaultKafkaTimeout = 15 * time.Second
	kafkaDialTimeout    = 5 * time.Second
	kafkaMaxRecord      = 64 << 20 // bytes before compression: beyond any body; the topic's own limit is the broker's to apply
)

// options are what writing and reading have in common.
func (c *KafkaConfig) options() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 || c.Topic == "" {
		return nil, errors.New("kafka: no broker or no topic")
	}
	c.Timeout = cmp.Or(c.Timeout, defaultKafkaTimeout)
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("integration-sidecar"),
		kgo.DialTimeout(min(kafkaDialTimeout, c.Timeout)),
		kgo.RetryTimeout(c.Timeout),
		kgo.RequestTimeoutOverhead(max(c.Timeout/2, time.Second)),
		kgo.MetadataMinAge(250 * time.Millisecond), // the default of 5 s is what a restarted broker would wait for us
		kgo.RetryBackoffFn(kafkaBackoff),
		kgo.DisableClientMetrics(), // tell brokers nothing about this process
	}
	if c.TLS != nil {
		options = append(options, kgo.Dialer(c.dial))
	}
	if c.Login != nil {
		mechanism, err := c.Login.mechanism()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

// dial connects with TLS as its files are now.
func (c *KafkaConfig) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: min(kafkaDialTimeout, c.Timeout)}, Config: c.TLS()}
	return d.DialContext(ctx, network, address)
}

// kafkaBackoff is the pause before another try. It is short, because the client looks at a context only between tries;
// who sends again and again waits longer on its own, see Forwarder.
func kafkaBackoff(tries int) time.Duration {
	return min(100*time.Millisecond<<min(tries, 3), 500*time.Millisecond)
}

func (l *KafkaLogin) mechanism() (sasl.Mechanism, error) {
	scramAuth := func(context.Context) (scram.Auth, error) {
		password, err := l.Password()
		return scram.Auth{User: l.Username, Pass: password}, err
	}
	switch l.Mechanism {
	case "plain":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := l.Password()
			return plain.Auth{User: l.Username, Pass: password}, err
		}), nil
	case "scram-sha-256":
		return scram.Sha256(scramAuth), nil
	case "scram-sha-512":
		return scram.Sha512(scramAuth), nil
	}
	return nil, fmt.Errorf("kafka: no SASL mechanism %q; plain, scram-sha-256 and scram-sha-512 are known", l.Mechanism)
}
