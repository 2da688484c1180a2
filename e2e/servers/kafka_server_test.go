//go:build e2e

package servers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fsm-integrations/sidecar/e2e"
)

// kafkaServer is a Kafka of one test, broker and controller in one process. It keeps its ports and its data from one
// process to the next.
type kafkaServer struct {
	address string // without TLS and login, for the test's own client
	secure  string // with TLS and SASL, when there is an authority
	client  *kgo.Client

	t      *testing.T
	dir    string
	config string // file
	log    *e2e.Output
	cmd    *exec.Cmd
	exited chan struct{}
}

// kafkaSetup says what kind of Kafka; the zero value is a bare broker.
type kafkaSetup struct {
	tls                *authority // nil: no listener with TLS and SASL
	username, password string     // of that listener, by every mechanism
}

func (c kafkaSetup) start(t *testing.T) *kafkaServer {
	t.Helper()
	k := &kafkaServer{address: e2e.FreeAddr(t), t: t, dir: t.TempDir(), log: new(e2e.Output)}
	k.config = filepath.Join(k.dir, "server.properties")
	must(t, os.WriteFile(k.config, []byte(strings.Join(c.properties(k), "\n")+"\n"), 0o600))
	k.format(c)
	var err error
	k.client, err = kgo.NewClient(kgo.SeedBrokers(k.address), kgo.MetadataMinAge(100*time.Millisecond))
	must(t, err)
	t.Cleanup(k.finish)
	k.launch()
	return k
}

func (c kafkaSetup) properties(k *kafkaServer) []string {
	controller := e2e.FreeAddr(k.t)
	listeners, protocols := "PLAIN://"+k.address, "CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT"
	lines := []string{
		"process.roles=broker,controller", "node.id=1", "controller.listener.names=CONTROLLER", "inter.broker.listener.name=PLAIN",
		"controller.quorum.voters=1@" + controller, "log.dirs=" + filepath.Join(k.dir, "data"),
		"offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"broker.session.timeout.ms=1500", "broker.heartbeat.interval.ms=300", // a killed broker is known soon
		"auto.create.topics.enable=true", // it must not matter
	}
	if c.tls != nil {
		k.secure = e2e.FreeAddr(k.t)
		listeners += ",SECURE://" + k.secure
		protocols += ",SECURE:SASL_SSL"
		lines = append(lines, c.security(k)...)
	}
	return append(lines, "listeners="+listeners+",CONTROLLER://"+controller, "advertised.listeners="+listeners, "listener.security.protocol.map="+protocols)
}

func (c kafkaSetup) security(k *kafkaServer) []string {
	const listener, modules = "listener.name.secure.", "org.apache.kafka.common.security."
	return []string{
		listener + "ssl.keystore.type=PEM", listener + "ssl.keystore.location=" + c.keystore(k),
		listener + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		fmt.Sprintf("%splain.sasl.jaas.config=%splain.PlainLoginModule required user_%s=%q;", listener, modules, c.username, c.password),
		listener + "scram-sha-256.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
		listener + "scram-sha-512.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
	}
}

// keystore writes the broker's key and certificate as Java wants them: PKCS #8, in one file.
func (c kafkaSetup) keystore(k *kafkaServer) string {
	cert, key := c.tls.valid(k.t, "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(k.t, err)
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(k.t, err)
	chain, err := os.ReadFile(cert)
	must(k.t, err)
	file := filepath.Join(k.dir, "broker.pem")
	must(k.t, os.WriteFile(file, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), chain...), 0o600))
	return file
}

// java prepares a program of Kafka's.
func (k *kafkaServer) java(class string, args ...string) *exec.Cmd {
	k.t.Helper()
	jars, err := filepath.Abs(filepath.Join("..", ".cache", "kafka"))
	must(k.t, err)
	if found, err := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); err != nil || len(found) != 1 {
		k.t.Fatal("Kafka is not installed; e2e/setup.sh installs what these tests need")
	}
	cmd := exec.Command(program(k.t, "java"), append([]string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(jars, "*"), class}, args...)...)
	cmd.Stdout, cmd.Stderr = k.log, k.log
	return cmd
}

// format makes the data directory, with the user in it.
func (k *kafkaServer) format(c kafkaSetup) {
	k.t.Helper()
	args := []string{"format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", k.config}
	if c.tls != nil {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, c.username, c.password))
		}
	}
	if err := k.java("kafka.tools.StorageTool", args...).Run(); err != nil {
		k.t.Fatalf("format Kafka's storage: %v\n%s", err, k.log)
	}
}

// launch starts the process, for the first time or again, and returns when it answers.
func (k *kafkaServer) launch() {
	k.t.Helper()
	k.begin()
	e2e.Eventually(k.t, "Kafka to answer on "+k.address, func() bool {
		select {
		case <-k.exited:
			k.t.Fatalf("Kafka ended at once:\n%s", k.log.Tail(3000))
		default:
		}
		c, err := net.Dial("tcp", k.address)
		if err != nil {
			return false
		}
		_ = c.Close()
		brokers, err := kadm.NewClient(k.client).ListBrokers(k.t.Context())
		return err == nil && len(brokers) == 1
	})
}

// begin starts the process and does not wait for it.
func (k *kafkaServer) begin() {
	k.t.Helper()
	k.cmd = k.java("kafka.Kafka", k.config)
	must(k.t, k.cmd.Start())
	cmd, exited := k.cmd, make(chan struct{})
	k.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
}

// end ends the process with sig and returns when it is gone.
func (k *kafkaServer) end(sig syscall.Signal) {
	k.t.Helper()
	must(k.t, k.cmd.Process.Signal(sig))
	<-k.exited
}

func (k *kafkaServer) finish() {
	k.client.Close()
	if k.cmd != nil {
		_ = k.cmd.Process.Kill()
		<-k.exited
	}
	if k.t.Failed() {
		k.t.Logf("last output of Kafka on %s:\n%s", k.address, k.log.Tail(3000))
	}
}

// create makes a topic.
func (k *kafkaServer) create(topic string, partitions int32, maxMessage int) {
	k.t.Helper()
	limit := fmt.Sprint(maxMessage)
	_, err := kadm.NewClient(k.client).CreateTopic(k.t.Context(), partitions, 1, map[string]*string{"max.message.bytes": &limit}, topic)
	must(k.t, err)
}

// records reads a topic to its end, each partition in its order.
func (k *kafkaServer) records(topic string) (list []*kgo.Record) {
	k.t.Helper()
	ends, err := kadm.NewClient(k.client).ListEndOffsets(k.t.Context(), topic)
	must(k.t, err)
	must(k.t, ends.Error())
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(k.t, err)
	defer reader.Close()
	for int64(len(list)) < want {
		fetches := reader.PollFetches(k.t.Context())
		must(k.t, fetches.Err())
		list = append(list, fetches.Records()...)
	}
	return list
}
