package idempotency_test

import (
	"context"
	"path/filepath"
	"strconv"
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

func TestBeyondItsBoundTheStoreKeepsOutcomesWithoutBodies(t *testing.T) {
	const limit = 256 << 10
	store, err := idempotency.OpenEmbedded(filepath.Join(t.TempDir(), "keys.db"), idempotency.EmbeddedOptions{SweepEvery: -1, MaxBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	kept, omitted := 0, 0
	for n := range 40 {
		request := idempotency.Request{Scope: idempotency.NewScope("t", "a", "POST", "/", strconv.Itoa(n)), Lease: time.Hour}
		granted, err := store.Begin(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Finish(t.Context(), request.Scope, granted.Owner, &idempotency.Outcome{Status: 200, Body: make([]byte, 32<<10)}, time.Hour); err != nil {
			t.Fatal(err)
		}
		found, err := store.Begin(t.Context(), request)
		if err != nil || found.Verdict != idempotency.Replay {
			t.Fatalf("%+v, %v", found, err)
		}
		if found.Outcome.Omitted {
			omitted++
		} else {
			kept++
		}
	}
	if kept < 3 || omitted < 20 || store.Stats().FileBytes > 3*limit {
		t.Errorf("%d bodies kept, %d omitted, the file has %d bytes", kept, omitted, store.Stats().FileBytes)
	}
}
