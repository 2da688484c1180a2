package config

import (
	"net"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
)

// DLQ is where letters are kept, forwarded and told of.
type DLQ struct {
	Dir           string         `yaml:"dir" default:"/var/lib/sidecar/dlq" doc:"Directory of the spool, on a volume that outlives the container."`
	MaxBytes      units.Bytes    `yaml:"max_bytes" default:"1GiB" min:"1KiB" max:"16TiB" doc:"Largest size of the spool; beyond it new letters are refused and the alert fires."`
	Retention     units.Duration `yaml:"retention" default:"720h" min:"1m" max:"87600h" doc:"How long a letter is kept."`
	EncryptionKey secret.Ref     `yaml:"encryption_key" doc:"Secret reference; when set, what the application sent, in letters and accepted calls, is sealed on disk with AES-256-GCM. 32 bytes, raw, in hex or in base64; in a file of several lines the first key seals and all open."`
	Body          string         `yaml:"body" default:"keep" enum:"keep,omit" doc:"Keep request bodies in letters, or omit them; without its body a letter cannot be replayed. An accepted call keeps its own, sealed, until it ended."`
	Kafka         Kafka          `yaml:"kafka" doc:"Topic the letters are forwarded to."`
	Redis         *RedisStream   `yaml:"redis" default:"on" doc:"Stream the letters are forwarded to, when redis is set and Kafka is not."`
	Alerts        Alerts         `yaml:"alerts" doc:"Who is told about letters that wait, letters that were lost, and open breakers."`
}

// Kafka is the topic letters are forwarded to.
type Kafka struct {
	Brokers []string    `yaml:"brokers" doc:"host:port of the first brokers to ask. Empty: nothing is forwarded to Kafka."`
	Topic   string      `yaml:"topic" default:"integration.dlq" doc:"Topic; it must exist, and take records of 1.5 times the largest body."`
	TLS     *policy.TLS `yaml:"tls" default:"off" doc:"TLS to the brokers; {} for the system's roots."`
	SASL    *SASL       `yaml:"sasl" default:"off" doc:"Login at the brokers."`
}

// SASL is a login at Kafka brokers.
type SASL struct {
	Mechanism string     `yaml:"mechanism" default:"scram-sha-512" enum:"plain,scram-sha-256,scram-sha-512" doc:"SASL mechanism."`
	Username  string     `yaml:"username" required:"true" doc:"User name."`
	Password  secret.Ref `yaml:"password" required:"true" doc:"Password, as a secret reference; read at each login."`
}

// RedisStream is the stream letters are forwarded to.
type RedisStream struct {
	Stream string `yaml:"stream" default:"integration.dlq" doc:"Name of the stream. It is never trimmed: its readers remove what they have dealt with."`
}

// checkDLQ reports what is wrong with the spool and what its letters are forwarded to.
func (r *resolver) checkDLQ(c *DLQ) {
	if c.Dir == "" {
		r.dlqFault("must not be empty", "dir")
	}
	list := r.root.get("dlq").get("kafka").get("brokers")
	for i, broker := range c.Kafka.Brokers {
		if !hostPort(broker) {
			r.faults.add(list.items[i], item("dlq.kafka.brokers", i), quote(withoutLogin(broker))+" is not host:port, such as kafka:9092, without scheme and login")
		}
	}
	if k := c.Kafka; len(k.Brokers) > 0 && k.Topic == "" {
		r.dlqFault("must not be empty", "kafka", "topic")
	} else if len(k.Brokers) == 0 && (k.TLS != nil || k.SASL != nil) {
		r.dlqFault("is empty, so nothing else of dlq.kafka is used", "kafka", "brokers")
	}
	if c.Kafka.TLS != nil {
		c.Kafka.TLS.Check(fileReport(func(message string) { r.dlqFault(message, "kafka", "tls") }))
	}
	if c.Redis != nil && c.Redis.Stream == "" {
		r.dlqFault("must not be empty; redis: off forwards nothing", "redis", "stream")
	}
	r.checkAlerts(&c.Alerts)
	if c.Body == "omit" && c.EncryptionKey != "" {
		r.warnings.add(r.place("dlq", "body"), "dlq.body", "is omit, so encryption_key seals only what is left: target and headers")
	}
}

// dlqFault adds a fault below dlq, unless the value is at fault already.
func (r *resolver) dlqFault(message string, keys ...string) { r.blockFault("dlq", message, keys...) }

// blockFault adds a fault at a path below a top-level block, unless the value is at fault already.
func (r *resolver) blockFault(block, message string, keys ...string) {
	at, _ := r.root.nearest(append([]string{block}, keys...))
	path := block
	for _, key := range keys {
		path = join(path, key)
	}
	if !r.faults.touches(path) {
		r.faults.add(at, path, message)
	}
}

// withoutLogin leaves out what somebody may have written as user:password@host: faults are logged.
func withoutLogin(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func hostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	return err == nil && host != "" && validPort(port)
}

// fileReport takes what the check of a tls block finds.
type fileReport func(message string)

// Fault implements policy.Report.
func (f fileReport) Fault(_, message string) { f(message) }

// Warn implements policy.Report.
func (f fileReport) Warn(_, message string) { f(message) }
