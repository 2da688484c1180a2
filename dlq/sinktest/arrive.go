package sinktest

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

func testOrder(t *testing.T, s Subject) {
	list := letters(1000)
	for i := 0; i < len(list); i += 100 {
		mustSend(t, s, list[i:i+100]...)
	}
	if n := compare(t, s.Read(t), list); n > 0 {
		t.Errorf("%d letters arrived twice although nothing failed", n)
	}
}

func testValue(t *testing.T, s Subject) {
	full, bare := letter("c-1", 1, []byte("\x00\xff body")), &dlq.Letter{ID: "x", State: dlq.Resolved, Metadata: dlq.Metadata{CorrelationID: "c-2"}}
	full.OriginalMessage.Raw = &dlq.Raw{Target: []byte("/\xff")}
	full.Error.Type = problem.TypeTimeout
	mustSend(t, s, full, bare)
	arrived := s.Read(t)
	if len(arrived) != 2 {
		t.Fatalf("%d arrived, want 2", len(arrived))
	}
	if arrived[0].Key != "c-1" { // two keys have no order between them
		arrived[0], arrived[1] = arrived[1], arrived[0]
	}
	for i, l := range []*dlq.Letter{full, bare} {
		a := arrived[i]
		if string(a.Value) != jsonOf(t, l) || a.Key != l.Metadata.CorrelationID {
			t.Errorf("key %q\n got %s\nwant %s", a.Key, a.Value, jsonOf(t, l))
		}
		want := map[string]string{"adapter-id": l.Metadata.AdapterID, "error-type": string(l.Error.Type), "letter-id": l.ID, "state": string(l.State)}
		if !maps.Equal(a.Notes, want) {
			t.Errorf("got  %v\nwant %v", a.Notes, want)
		}
	}
	testNames(t, arrived[0].Value)
}

// testNames looks for the specification's names (DLQMessage), which readers outside this program rely on.
func testNames(t *testing.T, value []byte) {
	t.Helper()
	var letter map[string]json.RawMessage
	if err := json.Unmarshal(value, &letter); err != nil {
		t.Fatal(err)
	}
	for part, names := range map[string][]string{
		"originalMessage": {"method", "url", "headers", "body", "bodyDigest"},
		"error":           {"message", "code", "type"},
		"metadata":        {"attempts", "firstAttempt", "lastAttempt", "correlationId", "adapterId", "tenantId", "userId", "idempotencyKey", "adapterVersion"},
	} {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(letter[part], &fields); err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		for _, name := range names {
			if fields[name] == nil {
				t.Errorf("there is no %s.%s", part, name)
			}
		}
	}
	for _, name := range []string{"id", "state", "attempts"} {
		if letter[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

func testNothing(t *testing.T, s Subject) {
	mustSend(t, s)
	if arrived := s.Read(t); len(arrived) != 0 {
		t.Errorf("%d letters arrived", len(arrived))
	}
}

func testLarge(t *testing.T, s Subject) {
	var list []*dlq.Letter
	for n, size := range []int{10, 1 << 20, 600 << 10, 600 << 10, 1 << 20, 1} {
		list = append(list, letter("c", n, noise(size)))
	}
	mustSend(t, s, list...)
	arrived := s.Read(t)
	compare(t, arrived, list)
	for i, a := range arrived {
		if string(a.Value) != jsonOf(t, list[i]) {
			t.Errorf("letter %d arrived with %d bytes that are not its own", i, len(a.Value))
		}
	}
}

func testRefused(t *testing.T, s Subject) {
	if s.TooLarge == 0 {
		t.Log("this server takes every size")
		return
	}
	list := []*dlq.Letter{letter("c", 1, nil), letter("c", 2, noise(s.TooLarge)), letter("c", 3, nil), letter("d", 4, noise(s.TooLarge)), letter("d", 5, nil)}
	err := s.Sink.Send(t.Context(), list)
	var refused *dlq.RefusedError
	if !errors.As(err, &refused) || len(refused.Letters) != 2 || refused.Letters[0].LetterID != list[1].ID || refused.Letters[1].LetterID != list[3].ID {
		t.Fatalf("got %v, want both large letters refused", err)
	}
	compare(t, s.Read(t), []*dlq.Letter{list[0], list[2], list[4]})
	mustSend(t, s, letter("e", 6, nil))
}

// noise are bytes that do not compress.
func noise(n int) []byte {
	source := rand.NewChaCha8([32]byte{byte(n)})
	b := make([]byte, n)
	_, _ = source.Read(b)
	return b
}
