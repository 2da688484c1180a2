package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

// A modelKey is what the simplest possible store would remember of a key.
type modelKey struct {
	state  string // "", "claimed", "finished", "unknown"
	body   string
	letter string
	text   string // of the outcome
	owner  idempotency.Owner
	until  time.Duration
}

// A machine drives a store and the model side by side.
type machine struct {
	subject Subject
	prefix  string
	now     time.Duration
	keys    map[string]*modelKey
	owners  []idempotency.Owner // all there ever were
}

func testModel(t *testing.T, s Subject) {
	var run int
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := &machine{subject: s, prefix: fmt.Sprintf("%d/", run), keys: make(map[string]*modelKey)}
		m.owners = []idempotency.Owner{{}}
		t.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "finish": m.finish, "release": m.release, "abandon": m.abandon, "advance": m.advance,
		})
	})
}

func (m *machine) key(t *rapid.T) (string, *modelKey) {
	key := m.prefix + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
	if m.keys[key] == nil {
		m.keys[key] = new(modelKey)
	}
	k := m.keys[key]
	if (k.state == "finished" || k.state == "unknown") && m.now >= k.until {
		*k = modelKey{}
	}
	return key, k
}

func (m *machine) begin(t *rapid.T) {
	key, k := m.key(t)
	r := request(key, rapid.SampledFrom([]string{"x", "x", "x", "y"}).Draw(t, "body"))
	r.Resend = rapid.Bool().Draw(t, "resend")
	r.LetterID = fmt.Sprint("letter ", len(m.owners))
	want := k.judge(r, m.now)
	d := begin(t, m.subject.Store, r, want)
	switch want {
	case idempotency.Granted:
		*k = modelKey{state: "claimed", letter: r.LetterID, owner: d.Owner, until: m.now + lease, body: string(r.Fingerprint[:])}
		m.owners = append(m.owners, d.Owner)
	case idempotency.Unknown:
		if d.LetterID != k.letter {
			t.Fatalf("letter %q, want %q", d.LetterID, k.letter)
		}
	case idempotency.Replay:
		if string(d.Outcome.Body) != k.text {
			t.Fatalf("replayed %q, want %q", d.Outcome.Body, k.text)
		}
	}
}

func (k *modelKey) judge(r idempotency.Request, now time.Duration) idempotency.Verdict {
	switch {
	case k.state == "":
		return idempotency.Granted
	case k.body != string(r.Fingerprint[:]):
		return idempotency.Reused
	case k.state == "claimed" && now < k.until:
		return idempotency.InFlight
	case k.state == "finished":
		return idempotency.Replay
	case r.Resend:
		return idempotency.Granted
	}
	return idempotency.Unknown
}

// step draws an owner, and whether the model lets it do something.
func (m *machine) step(t *rapid.T) (key string, k *modelKey, owner idempotency.Owner, holds bool) {
	key, k = m.key(t)
	owner = rapid.SampledFrom(m.owners).Draw(t, "owner")
	if rapid.Bool().Draw(t, "the present one") {
		owner = k.owner
	}
	return key, k, owner, k.state == "claimed" && owner == k.owner
}

func (m *machine) finish(t *rapid.T) {
	key, k, owner, holds := m.step(t)
	text := fmt.Sprint("outcome at ", m.now)
	finish(t, m.subject.Store, key, owner, outcome(text))
	if holds {
		k.state, k.text, k.until = "finished", text, m.now+ttl
	}
}

func (m *machine) release(t *rapid.T) {
	key, k, owner, holds := m.step(t)
	check(t, m.subject.Store.Release(context.Background(), scopeOf(key), owner))
	if holds {
		*k = modelKey{}
	}
}

func (m *machine) abandon(t *rapid.T) {
	key, k, owner, holds := m.step(t)
	check(t, m.subject.Store.Abandon(context.Background(), scopeOf(key), owner, ttl))
	if holds {
		k.state, k.until = "unknown", m.now+ttl
	}
}

func (m *machine) advance(t *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second
	m.subject.Advance(d)
	m.now += d
}
