package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "integration.dlq"

// broker is a Kafka in this process, which can go away and come back at its address. (A real one is in e2e/servers.)
type broker struct {
	t       *testing.T
	cluster *kfake.Cluster
	options []kfake.Opt
	address string
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	address := FreeAddr(t)
	port, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
	must(t, err)
	b := &broker{t: t, address: address, options: []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(t.TempDir()), kfake.SeedTopics(3, topic)}}
	b.start()
	t.Cleanup(func() { b.cluster.Close() })
	return b
}

func (b *broker) start() {
	b.t.Helper()
	var err error
	b.cluster, err = kfake.NewCluster(b.options...)
	must(b.t, err)
}

// records reads until there are n.
func (b *broker) records(n int) []*kgo.Record {
	b.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(b.t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("%d records in the topic, want %d", len(all), n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func TestALetterIsForwardedToKafkaAsTheSpecificationHasIt(t *testing.T) {
	t.Parallel()
	kafka, up := newBroker(t), NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "id: sales-pyxis"), DLQ: "kafka: { brokers: [" + kafka.address + "] }"})
	id := s.Post(t, "/sales/orders", `{"order":1}`, keyOne, "X-Correlation-ID: corr-1").LetterID()
	r := kafka.records(1)[0]
	if string(r.Key) != "corr-1" || header(r, "adapter-id") != "sales-pyxis" || header(r, "error-type") != "server_error" || header(r, "letter-id") != id {
		t.Errorf("key %q, headers %v", r.Key, r.Headers)
	}
	var l Letter
	must(t, json.Unmarshal(r.Value, &l))
	if l.ID != id || string(l.OriginalMessage.Body) != `{"order":1}` || l.Metadata.IdempotencyKey != "key-1" || l.Error.Code != "503" {
		t.Errorf("the record is %s", r.Value)
	}
	Eventually(t, "the letter to be forwarded", func() bool { return s.Letter(t, id).State == "forwarded" })
	s.Command(t, "dlq", "discard", id)
	if r := kafka.records(2)[1]; header(r, "letter-id") != id || header(r, "state") != "discarded" {
		t.Errorf("its end is told with headers %v", r.Headers)
	}
}

func TestLettersWaitForABrokerThatIsDownAndAreForwardedAtTheEnd(t *testing.T) {
	t.Parallel()
	kafka, up := newBroker(t), NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off"), DLQ: "kafka: { brokers: [" + kafka.address + "] }"})
	kafka.cluster.Close()
	var ids []string
	for range 20 {
		ids = append(ids, s.Post(t, "/sales/orders", `{}`).LetterID())
	}
	Eventually(t, "the health to warn", func() bool {
		return strings.Contains(s.Get(t, "http://"+s.Probes+"/health").Body, `"sink":{"status":"warn"`)
	})
	if r := s.Command(t, "status"); !strings.Contains(r.Stdout, "20 waiting") || !strings.Contains(r.Stdout, "FAILING") {
		t.Errorf("status says\n%s", r.Stdout)
	}
	s.Metrics(t).Want(t, "integration_forward_waiting_letters", 20)
	kafka.start()
	s.Term() // forwards what is spooled before it ends
	if code := s.Wait(patience); code != 0 {
		t.Errorf("ended with code %d", code)
	}
	found := map[string]bool{}
	for _, r := range kafka.records(20) {
		found[header(r, "letter-id")] = true
	}
	for _, id := range ids {
		if !found[id] {
			t.Errorf("letter %s is not in the topic", id)
		}
	}
}

func TestWithoutKafkaLettersGoToTheRedisStream(t *testing.T) {
	t.Parallel()
	redis, up := miniredis.RunT(t), NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL), Top: "redis: { addresses: [" + redis.Addr() + "] }"})
	id := s.Post(t, "/sales/orders", `{"order":1}`).LetterID()
	Eventually(t, "the letter to be forwarded", func() bool { return s.Letter(t, id).State == "forwarded" })
	entries, err := redis.Stream(topic)
	must(t, err)
	if len(entries) != 1 || !strings.Contains(strings.Join(entries[0].Values, " "), id) {
		t.Errorf("the stream holds %v", entries)
	}
}

func TestWhatTheApplicationSentIsSealedOnDisk(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503))
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte(strings.Repeat("ab", 32)+"\n"), 0o600))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, honoured), DLQ: "encryption_key: file:" + key})
	id := s.Post(t, "/sales/orders?q=sealed-query", `{"order":"sealed-body"}`, "X-Own: sealed-field").LetterID()
	file := folder(t, s.SpoolDir())
	for _, word := range []string{"sealed-query", "sealed-body", "sealed-field"} {
		if strings.Contains(file, word) {
			t.Errorf("%s is on disk", word)
		}
	}
	must(t, os.WriteFile(key, []byte(strings.Repeat("cd", 32)+"\n"+strings.Repeat("ab", 32)+"\n"), 0o600)) // rotated: the old key still opens
	s.Kill9()
	s.Restart()
	if l := s.Letter(t, id); string(l.OriginalMessage.Body) != `{"order":"sealed-body"}` {
		t.Errorf("opened with the former key: %q", l.OriginalMessage.Body)
	}
	must(t, os.WriteFile(key, []byte(strings.Repeat("ef", 32)+"\n"), 0o600))
	s.Kill9()
	s.Restart()
	if l := s.Letter(t, id); len(l.OriginalMessage.Body) != 0 || l.Metadata.AdapterID != "sales" {
		t.Errorf("with an unknown key: body %q of %q", l.OriginalMessage.Body, l.Metadata.AdapterID)
	}
	if r := s.Command(t, "dlq", "replay", id); r.Code != 1 || !strings.Contains(r.Stdout, "sealed with a key") {
		t.Errorf("a replay without the key ends with %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestAnOmittedBodyIsNotOnDiskAndNotReplayed(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, honoured), DLQ: "body: omit"})
	id := s.Post(t, "/sales/orders", `{"order":"omitted"}`).LetterID()
	hits := up.Count()
	file := folder(t, s.SpoolDir())
	if strings.Contains(file, "omitted\"}") {
		t.Error("the body is on disk")
	}
	if l := s.Letter(t, id); l.OriginalMessage.BodyDigest == "" || len(l.OriginalMessage.Body) != 0 {
		t.Errorf("the letter holds %q, digest %q", l.OriginalMessage.Body, l.OriginalMessage.BodyDigest)
	}
	if r := s.Command(t, "dlq", "replay", id); r.Code != 1 || !strings.Contains(r.Stdout, "without its body") || up.Count() != hits {
		t.Errorf("a replay ends with %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestPeopleAreToldOfLettersOnceAndWhenTheyAreGone(t *testing.T) {
	t.Parallel()
	told := make(chan map[string]any, 100)
	hook := NewUpstream(t, func(w http.ResponseWriter, _ *http.Request, h Hit) {
		var alert map[string]any
		_ = json.Unmarshal([]byte(h.Body), &alert)
		if got := h.Header.Get("Authorization"); got != "Bearer hook-token" {
			t.Errorf("Authorization is %q", got)
		}
		told <- alert
		w.WriteHeader(http.StatusNoContent)
	})
	up := NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off"), Env: []string{"HOOK=hook-token"},
		DLQ: "alerts: { webhook: " + hook.URL + "/x, webhook_token: env:HOOK, group_interval: 1h }"})
	for range 10 {
		s.Post(t, "/sales/orders", `{}`)
	}
	first := Receive(t, told, "an alert")
	if text, _ := json.Marshal(first); first["status"] != "firing" || first["severity"] != "warning" ||
		!strings.Contains(string(text), "sidecar dlq list --adapter sales --error-type server_error") {
		t.Errorf("told %s", text)
	}
	for _, id := range s.Letters(t) {
		s.MustCommand(t, "dlq", "discard", id)
	}
	if last := Receive(t, told, "the all-clear"); last["status"] != "resolved" {
		t.Errorf("told %v", last)
	}
	select {
	case more := <-told:
		t.Errorf("told once more: %v", more)
	case <-time.After(300 * time.Millisecond):
	}
	s.Metrics(t).Want(t, `integration_alerts_sent_total{result="ok",target="webhook"}`, 2)
}
