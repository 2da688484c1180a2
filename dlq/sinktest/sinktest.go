// Package sinktest holds every dlq.Sink to the same contract, with fake servers in unit tests and real ones in
// e2e/servers.
package sinktest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Subject is a sink and its server. Everything of it ends with the test.
type Subject struct {
	Sink dlq.Sink
	// Read returns all that has arrived, in the server's order for each key.
	Read func(t *testing.T) []Arrival
	// Stop makes the server go away, as rudely as it can; Start brings it back at the same address with its data.
	Stop, Start func(t *testing.T)
	// TooLarge is the size of a body, in bytes that do not compress, that the server refuses; 0: it refuses none.
	TooLarge int
}

// Arrival is what the server has of one letter.
type Arrival struct {
	Key   string // the correlation id
	Value []byte
	Notes map[string]string // what stands beside the letter: adapter-id, error-type, letter-id, state
}

// Patience is the longest that anything of the suite waits for a server that is there.
const Patience = 60 * time.Second

// Run runs the suite; open makes a new, empty subject for each test.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"EveryLetterArrivesInOrder", testOrder},
		{"TheValueIsTheLetter", testValue},
		{"NothingToSend", testNothing},
		{"LargeLetters", testLarge},
		{"ARefusedLetterIsNamedAndTheOthersArrive", testRefused},
		{"AnEndedContext", testEndedContext},
		{"AContextThatEndsWhileTheServerIsAway", testContextWithoutServer},
		{"AServerThatComesBack", testComesBack},
		{"AServerThatRestartsInMidStream", testMidStream},
		{"AfterClose", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// letter makes the nth letter of a key.
func letter(key string, n int, body []byte) *dlq.Letter {
	created := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	return &dlq.Letter{
		ID: dlq.NewID(), State: dlq.Dead,
		OriginalMessage: dlq.Message{Method: "POST", URL: "https://sales.example/orders", Target: "/orders?a=<1>&b=ü",
			Headers: dlq.Headers{{Name: "Content-Type", Value: "application/json"}, {Name: "X-A", Value: "1, 2"}}, Body: body},
		Error: dlq.Failure{Message: fmt.Sprint(n), Code: "503", Type: problem.TypeServerError},
		Metadata: dlq.Metadata{Attempts: 1, FirstAttempt: created, LastAttempt: created, Created: created, CorrelationID: key,
			AdapterID: "sales-id", Adapter: "sales", TenantID: "t", IdempotencyKey: key},
		Attempts: []dlq.Attempt{{Number: 1, Start: created, Duration: time.Second, Status: 503, Sent: true}},
	}
}

// letters makes n letters of a few correlation ids, each in turn.
func letters(n int) []*dlq.Letter {
	list := make([]*dlq.Letter, n)
	for i := range list {
		list[i] = letter(fmt.Sprintf("correlation-%d", i%7), i, []byte(`{"orderId":1}`))
	}
	return list
}

func mustSend(t *testing.T, s Subject, list ...*dlq.Letter) {
	t.Helper()
	if err := s.Sink.Send(t.Context(), list); err != nil {
		t.Fatal(err)
	}
}

// sendStubbornly sends until everything is acknowledged, as the forwarder does.
func sendStubbornly(t *testing.T, s Subject, list []*dlq.Letter) {
	t.Helper()
	if _, err := untilSent(t.Context(), s, list); err != nil {
		t.Fatal(err)
	}
}

func untilSent(ctx context.Context, s Subject, list []*dlq.Letter) (failures int, err error) {
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = s.Sink.Send(ctx, list); err == nil {
			return failures, nil
		}
		failures++
	}
	return failures, fmt.Errorf("it still fails after %s: %w", Patience, err)
}

// compare holds what arrived to what was sent: every letter, each key in its order. It returns the number of letters
// that arrived again.
func compare(t *testing.T, arrived []Arrival, sent []*dlq.Letter) (duplicates int) {
	t.Helper()
	want := map[string][]string{} // key → ids
	for _, l := range sent {
		want[l.Metadata.CorrelationID] = append(want[l.Metadata.CorrelationID], l.ID)
	}
	seen, got := map[string]bool{}, map[string][]string{}
	for _, a := range arrived {
		id := a.Notes["letter-id"]
		if seen[id] {
			duplicates++
			continue
		}
		seen[id] = true
		got[a.Key] = append(got[a.Key], id)
	}
	if len(got) != len(want) {
		t.Errorf("%d keys arrived, want %d", len(got), len(want))
	}
	for key, ids := range want {
		if fmt.Sprint(got[key]) != fmt.Sprint(ids) {
			t.Errorf("of %s arrived %d letters, or not in their order; want %d\n got %v\nwant %v", key, len(got[key]), len(ids), got[key], ids)
		}
	}
	return duplicates
}

func jsonOf(t *testing.T, l *dlq.Letter) string {
	t.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
