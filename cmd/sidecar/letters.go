package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/alert"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/seal"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

// openLetters opens the spool, and what its letters are forwarded to.
func (p *process) openLetters(doc *config.Document) error {
	c := doc.DLQ
	spool := dlq.Config{Dir: c.Dir, MaxBytes: int64(c.MaxBytes), Retention: c.Retention.D(), OmitBody: c.Body == "omit", Changed: p.kick,
		Application: applicationOf(doc)}
	spool.Seal = p.sealer
	if err := p.openSink(doc); err != nil {
		return err
	}
	spool.Outbox = p.sink != nil
	var err error
	if p.letters, err = dlq.Open(spool); err != nil {
		return err
	}
	if damaged := p.letters.Stats().Damaged; damaged != "" {
		p.log.Error("the file of letters was damaged", "found", damaged)
	}
	return nil
}

// openSealer reads the key that seals letters and accepted exchanges, if there is one.
func (p *process) openSealer(key secret.Ref) (err error) {
	if key == "" {
		return nil
	}
	if p.sealer, err = seal.New(func() ([]byte, error) {
		value, err := p.secrets.Resolve(context.Background(), key)
		return value.Reveal(), err
	}); err != nil {
		return fmt.Errorf("dlq.encryption_key: %w", err)
	}
	return nil
}

// openSink opens Kafka, else a Redis stream, else nothing.
func (p *process) openSink(doc *config.Document) (err error) {
	switch c := doc.DLQ; {
	case len(c.Kafka.Brokers) > 0:
		kafka, err := p.kafkaConfig(&c.Kafka)
		if err != nil {
			return err
		}
		p.sinkName = "Kafka topic " + c.Kafka.Topic
		p.sink, err = dlq.OpenKafka(kafka)
		return err
	case p.shared != nil && c.Redis != nil:
		p.sinkName = "Redis stream " + c.Redis.Stream
		p.sink = dlq.OpenStream(p.shared, c.Redis.Stream)
	}
	return nil
}

func (p *process) kafkaConfig(c *config.Kafka) (dlq.KafkaConfig, error) {
	out := dlq.KafkaConfig{Brokers: c.Brokers, Topic: c.Topic}
	if c.TLS != nil {
		var err error
		if out.TLS, err = p.follow(c.TLS, "dlq.kafka"); err != nil {
			return out, err
		}
	}
	if c.SASL != nil {
		out.Login = &dlq.KafkaLogin{Mechanism: c.SASL.Mechanism, Username: c.SASL.Username,
			Password: func() (string, error) { return p.reveal(c.SASL.Password) }}
	}
	return out, nil
}

// forward begins to move letters to the sink, if there is one.
func (p *process) forward() {
	if p.sink == nil {
		return
	}
	p.forwarder = dlq.NewForwarder(dlq.ForwarderConfig{Spool: p.letters, Sink: p.sink,
		Changed: func(up bool, why error) {
			if up {
				p.log.Info("letters are forwarded again", "sink", p.sinkName)
				return
			}
			p.log.Warn("letters stay in the spool: the sink does not take them", "sink", p.sinkName, "error", why.Error())
		},
		Refused: func(id string, why error) {
			p.log.Error("the sink will never take a letter; it stays in the spool", "sink", p.sinkName, "letter_id", id, "error", why.Error())
		}})
	p.server.Forwards(p.sinkName, p.forwarder)
}

const (
	flushTime   = 2 * time.Second // how long forwarding may take at the end when draining has left less
	closingTime = 3 * time.Second // kept for closing, so that drain is what all of it takes
)

// stopForwarding forwards what is spooled within what is left of the drain, but for the time that closing takes, and
// stops. What could not be forwarded stays on disk for the next process.
func (p *process) stopForwarding(drain context.Context) {
	if p.forwarder == nil {
		return
	}
	end, _ := drain.Deadline()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(drain), max(time.Until(end)-closingTime, flushTime))
	defer cancel()
	if err := p.forwarder.Flush(ctx); err != nil {
		p.log.Warn("letters stay in the spool", "waiting", p.letters.Stats().Outbox, "error", err.Error())
		p.close(p.sink) // breaks off a Send that hangs
		p.sink = nil
	}
	p.forwarder.Close()
}

// tellPeople begins to send alerts, if anybody wants them.
func (p *process) tellPeople(c config.Alerts) {
	if c.Alertmanager == "" && c.Webhook == "" {
		return
	}
	host, _ := os.Hostname()
	interval := c.GroupInterval.D()
	a := alert.New(alert.Config{Alertmanager: c.Alertmanager, Webhook: c.Webhook, GroupInterval: interval,
		AlertmanagerAuth: p.basic(c.AlertmanagerUsername, c.AlertmanagerPassword), WebhookAuth: p.bearer(c.WebhookToken),
		Source: func() []alert.Group { return p.server.Alerts(interval) }, Admin: p.adminAddr.String(), Instance: strings.TrimSpace(host),
		Observe: p.metrics.Alerts(), Log: p.log})
	p.alerter.Store(a)
}

// bearer makes the value of Authorization of a token; nil without one.
func (p *process) bearer(token secret.Ref) func(context.Context) (string, error) {
	if token == "" {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		value, err := p.secrets.Resolve(ctx, token)
		return "Bearer " + string(value.Reveal()), err
	}
}

// basic makes the value of Authorization of a login (RFC 7617); nil without one.
func (p *process) basic(username string, password secret.Ref) func(context.Context) (string, error) {
	if password == "" {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		value, err := p.secrets.Resolve(ctx, password)
		return "Basic " + base64.StdEncoding.EncodeToString(append([]byte(username+":"), value.Reveal()...)), err
	}
}

// kick tells the alerter that something may have changed.
func (p *process) kick() {
	if a := p.alerter.Load(); a != nil {
		a.Kick()
	}
}

const lastAlerts = 2 * time.Second

func (p *process) stopTelling() {
	if a := p.alerter.Load(); a != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lastAlerts)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			p.log.Warn("stopped", "error", err.Error())
		}
	}
}
