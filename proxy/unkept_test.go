package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/policy"
)

// cramped is a proxy whose spool has room for no more letters until the one that is returned is discarded.
func cramped(t *testing.T, adapters string) (*rig, string) {
	t.Helper()
	spool, err := dlq.Open(dlq.Config{Dir: t.TempDir(), MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() }) // after the server's end
	big := &dlq.Letter{ID: dlq.NewID(), State: dlq.Dead, OriginalMessage: dlq.Message{Method: "POST", Target: "/", Body: []byte(strings.Repeat("x", 62<<10))}}
	if err := spool.Put(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(d *policy.Deps) { d.Letters = spool })
	if err := r.server.Use(document(t, adapters)); err != nil {
		t.Fatal(err)
	}
	return r, big.ID
}

// post makes n calls that are accepted, with bodies of 4 KiB, and returns their ids.
func (r *rig) post(path string, n int) (ids []string) {
	r.t.Helper()
	for range n {
		a := r.call("POST", path, strings.Repeat("x", 4<<10))
		if a.StatusCode != 202 {
			r.t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		ids = append(ids, a.Header.Get("Location")[strings.LastIndexByte(a.Header.Get("Location"), '/')+1:])
	}
	return ids
}

func (r *rig) state(id string) accepted.State {
	r.t.Helper()
	kept, err := r.deps.Accepted.Get(id)
	if err != nil {
		r.t.Fatal(err)
	}
	return kept.State
}

// Exchanges whose letters the full spool does not take once held all of their adapter's places.
func TestAFullSpoolDoesNotHoldUpWhatMaySucceed(t *testing.T) {
	steps := make([]upstream.Step, perAdapter+2)
	for i := range steps {
		steps[i] = upstream.Status(http.StatusInternalServerError)
	}
	up := upstream.Script(t, append(steps, upstream.Status(http.StatusCreated))...)
	r, big := cramped(t, erp(up.URL(), "delivery: async", "breaker: off"))
	failing := r.post("/erp/orders", len(steps))
	up.WaitHits(len(steps))
	good := r.post("/erp/orders", 1)[0]
	eventually(t, "the one that may succeed to be delivered", func() bool { return r.state(good) == accepted.Delivered })
	for _, id := range failing {
		if s := r.state(id); s.Ended() {
			t.Errorf("without a letter one is %s", s)
		}
	}
	if err := r.deps.Letters.Discard(t.Context(), big, "op"); err != nil {
		t.Fatal(err)
	}
	for i, id := range failing {
		eventually(t, fmt.Sprintf("the end of %d", i), func() bool { return r.state(id) == accepted.Failed })
		l, err := r.deps.Letters.Get(id)
		if err != nil || l.Error.Code != "500" || len(l.Attempts) != 1 || len(l.OriginalMessage.Body) != 4<<10 {
			t.Errorf("letter %+v, %v", l, err)
		}
		if kept, _ := r.deps.Accepted.Get(id); kept.Attempts != 1 || kept.Result.Status != 500 || kept.Result.LetterID != id {
			t.Errorf("exchange %+v", kept)
		}
	}
	if up.Hits() != len(steps)+1 {
		t.Errorf("%d requests, want %d: what has failed is not sent again for want of room", up.Hits(), len(steps)+1)
	}
	if said := strings.Count(r.log.String(), "could not be kept and is tried again"); said != len(steps) {
		t.Errorf("the log says so %d times, want once for each of %d", said, len(steps))
	}
}

// What is not remembered of a failed exchange is doubtful, as after a crash.
func TestAnEndThatIsNotRememberedIsNotSentAgainWithoutHonouredKeys(t *testing.T) {
	up := upstream.Script(t, upstream.Status(http.StatusInternalServerError))
	r, big := cramped(t, erp(up.URL(), "delivery: async"))
	r.server.courier.unkept.most = 0
	id := r.post("/erp/orders", 1)[0]
	eventually(t, "it to be put back", func() bool {
		kept, err := r.deps.Accepted.Get(id)
		return err == nil && kept.Reason == "spool-unavailable" && kept.Doubtful
	})
	if err := r.deps.Letters.Discard(t.Context(), big, "op"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return r.state(id) == accepted.Failed })
	if l, err := r.deps.Letters.Get(id); err != nil || l.Error.Type != "outcome_unknown" || up.Hits() != 1 {
		t.Errorf("letter %+v, %v after %d requests", l, err, up.Hits())
	}
}

func TestWhatIsRememberedOfEndsIsBounded(t *testing.T) {
	u := &unkept{ends: map[string]outcome{}, most: 2, mostBytes: 10}
	end := func(bytes int) outcome {
		return outcome{letter: &dlq.Letter{OriginalMessage: dlq.Message{Body: make([]byte, bytes)}}}
	}
	u.add("a", end(6))
	u.add("too large", end(5))
	u.add("b", end(4))
	u.add("too many", end(0))
	for id, want := range map[string]bool{"a": true, "too large": false, "b": true, "too many": false} {
		if _, found := u.take(id); found != want {
			t.Errorf("%s: %v", id, found)
		}
	}
	u.add("c", end(10))
	if _, found := u.take("c"); !found {
		t.Error("there is no room although all were taken")
	}
}
