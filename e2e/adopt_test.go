package e2e

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// A pod and its disk are lost. What it forwarded is found in the sink, and sent by another.
func TestLettersOfAPodThatIsGoneAreReplayed(t *testing.T) {
	t.Parallel()
	up := newProvider(t)
	a, b := pair(t, miniredis.RunT(t), up.URL, "retry: off")
	letters(t, a, 3)
	Eventually(t, "the letters to be forwarded", func() bool { return len(a.Letters(t, "--state", "forwarded")) == 3 })
	a.Kill9()
	up.up.Store(true)
	if ids := b.Letters(t, "--from", "redis", "--adapter", "sales"); len(ids) != 3 || len(b.Letters(t)) != 0 {
		t.Fatalf("%d letters in the sink, %d in the other spool; want 3 and 0", len(ids), len(b.Letters(t)))
	}
	if r := b.MustCommand(t, "dlq", "replay", "--from", "redis", "--all", "--dry-run"); !strings.Contains(r.Stdout, "3 letters: 3 would-send") || len(b.Letters(t)) != 0 {
		t.Errorf("dry run:\n%s", r.Stdout)
	}
	one := b.Letters(t, "--from", "redis")[0]
	if r := b.MustCommand(t, "dlq", "replay", "--from", "redis", one); !strings.Contains(r.Stdout, "1 letter: 1 replayed") {
		t.Errorf("one:\n%s", r.Stdout)
	}
	if r := b.MustCommand(t, "dlq", "replay", "--from", "redis", "--all"); !strings.Contains(r.Stdout, "2 letters: 2 replayed") {
		t.Errorf("the others:\n%s", r.Stdout)
	}
	if up.took() != 3 || up.sent.Load() != 3 {
		t.Errorf("%d orders took effect after %d requests, want 3", up.took(), up.sent.Load())
	}
	Eventually(t, "the sink to know their end", func() bool { return len(b.Letters(t, "--from", "redis")) == 0 })
	if r := b.Command(t, "dlq", "list", "--from", "kafka"); r.Code != 1 || !strings.Contains(r.Stderr, "redis, not to kafka") {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
}

// With Kafka and without a Redis, each sidecar is on its own: the keys that the provider honours keep it from acting twice.
func TestLettersOfAPodThatIsGoneAreReplayedFromKafka(t *testing.T) {
	t.Parallel()
	up, kafka := newProvider(t), newBroker(t)
	c := Setup{Adapters: Adapter("sales", up.URL, onceEach), DLQ: "kafka: { brokers: [" + kafka.address + "] }"}
	a, b := Start(t, c), Start(t, c)
	letters(t, a, 20)
	Eventually(t, "the letters to be forwarded", func() bool { return len(a.Letters(t, "--state", "forwarded")) == 20 })
	a.Kill9()
	up.up.Store(true)
	if r := b.MustCommand(t, "dlq", "replay", "--from", "kafka", "--all", "--limit", "5", "--new-run", "rescue"); !strings.Contains(r.Stdout, "5 letters: 5 replayed") {
		t.Errorf("the first five:\n%s", r.Stdout)
	}
	if r := b.MustCommand(t, "dlq", "replay", "--from", "kafka", "--all", "--run", "rescue"); !strings.Contains(r.Stdout, "15 letters: 15 replayed") {
		t.Errorf("the others:\n%s", r.Stdout)
	}
	if up.took() != 20 || up.sent.Load() != 20 {
		t.Errorf("%d orders took effect after %d requests, want 20", up.took(), up.sent.Load())
	}
	Eventually(t, "the topic to know their end", func() bool { return len(b.Letters(t, "--from", "kafka")) == 0 })
	if l := b.Letter(t, b.Letters(t, "--state", "replayed")[0]); l.State != "replayed" {
		t.Errorf("state %s", l.State)
	}
}

// Two applications that share a stream: neither reads, and sends with its own credentials, what is the other's.
func TestAnotherApplicationsLettersAreNotRead(t *testing.T) {
	t.Parallel()
	redis, up := miniredis.RunT(t), newProvider(t)
	ours := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off"), Top: "redis: { addresses: [" + redis.Addr() + "], prefix: ours }"})
	theirs := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off"), Top: "redis: { addresses: [" + redis.Addr() + "], prefix: theirs }"})
	letters(t, ours, 2)
	Eventually(t, "the letters to be forwarded", func() bool { return len(ours.Letters(t, "--from", "redis")) == 2 })
	if ids := theirs.Letters(t, "--from", "redis"); len(ids) != 0 {
		t.Errorf("another application's letters %v", ids)
	}
}
