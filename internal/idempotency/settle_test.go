package idempotency_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

// An outcome that cannot be written leaves nobody waiting: the key is unknown at once, until its owner succeeds.
func TestAnOutcomeThatCannotBeWrittenMakesTheKeyUnknown(t *testing.T) {
	store, err := idempotency.OpenEmbedded(filepath.Join(t.TempDir(), "keys.db"), idempotency.EmbeddedOptions{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	request := idempotency.Request{Scope: idempotency.NewScope("t", "a", "POST", "/", "k"), LetterID: "letter", Lease: time.Hour}
	granted, err := store.Begin(t.Context(), request)
	if err != nil || granted.Verdict != idempotency.Granted {
		t.Fatalf("%+v, %v", granted, err)
	}
	waiting, err := store.Begin(t.Context(), request)
	if err != nil || waiting.Verdict != idempotency.InFlight {
		t.Fatalf("%+v, %v", waiting, err)
	}
	refused, cancel := context.WithCancel(t.Context())
	cancel()
	outcome := &idempotency.Outcome{Status: 201}
	if err := store.Finish(refused, request.Scope, granted.Owner, outcome, time.Hour); err == nil {
		t.Fatal("a write that could not happen succeeded")
	}
	select {
	case <-waiting.Done:
	default:
		t.Error("who waits was not woken")
	}
	if d, err := store.Begin(t.Context(), request); err != nil || d.Verdict != idempotency.Unknown || d.LetterID != "letter" {
		t.Errorf("%+v, %v; want unknown, with the letter", d, err)
	}
	if err := store.Finish(t.Context(), request.Scope, granted.Owner, outcome, time.Hour); err != nil {
		t.Fatal(err)
	}
	if d, err := store.Begin(t.Context(), request); err != nil || d.Verdict != idempotency.Replay || d.Outcome.Status != 201 {
		t.Errorf("after the owner tried again: %+v, %v", d, err)
	}
}
