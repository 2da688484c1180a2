//go:build e2e

package servers

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// numbered answers with the number of the hit, so that two executions cannot look alike.
func numbered(w http.ResponseWriter, _ *http.Request, h e2e.Hit) {
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"order":%d}`, h.N)
}

// slowly answers after d, as numbered does.
func slowly(d time.Duration) e2e.Reply {
	return func(w http.ResponseWriter, r *http.Request, h e2e.Hit) {
		e2e.Until(time.Now().Add(d)) // the provider's own time
		numbered(w, r, h)
	}
}

func TestOneKeyThroughFourPodsIsOneCall(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	up := e2e.NewUpstream(t, slowly(300*time.Millisecond))
	f := startFleet(t, 4, e2e.Setup{Top: onRedis(server.address), Adapters: e2e.Adapter("sales", up.URL)})
	f.waitShared(true, 5*time.Second)
	before := server.calls()
	wantOneCall(t, f, up, 100)
	after := server.calls()
	ran := map[string]int{}
	for name, n := range after {
		if n > before[name] {
			ran[name] = n - before[name]
		}
	}
	t.Logf("400 calls ran %d scripts in Redis; all commands, those in scripts too: %v", scripts(ran), ran)
	// Each caller asks once or twice (first and last); what is between is asked for by few, now and then.
	if n := scripts(ran); n > 3*400 {
		t.Errorf("%d scripts for 400 calls: the waiters hammer Redis", n)
	}
}

// wantOneCall makes one POST each times through every pod at once: the provider must see one, and all must get its
// answer.
func wantOneCall(t *testing.T, f *fleet, up *e2e.Upstream, each int) {
	t.Helper()
	seen := up.Count()
	replayed, last := 0, time.Duration(0)
	for pod, answers := range f.same(each, "/sales/orders", `{"a":1}`, fmt.Sprint("key-", seen), func() {}) {
		for i, a := range answers {
			if a.Status != 201 || a.Body != fmt.Sprintf(`{"order":%d}`, seen+1) {
				t.Fatalf("answer %d of pod %d is %d %q, want the one of the only call", i, pod, a.Status, a.Body)
			}
			if a.Header.Get("Idempotency-Replayed") == "true" {
				replayed++
			}
			last = max(last, a.Took)
		}
	}
	up.WantCount(t, seen+1)
	if want := each*len(f.pods) - 1; replayed != want {
		t.Errorf("%d answers say Idempotency-Replayed, want %d", replayed, want)
	}
	t.Logf("%d calls with one key: one call of the provider, %d replays, the last after %s", each*len(f.pods), replayed, last.Round(time.Millisecond))
}

const patient = "timeout: { attempt: 40s, total: 50s }"

// ownerCrash lets calls with one key reach all pods and kills the one whose call the provider is working on. It
// returns the answers of the others, and the dead pod.
func ownerCrash(t *testing.T, policy string) (answers []e2e.Answer, up *e2e.Upstream, f *fleet, dead *e2e.Sidecar) {
	t.Helper()
	const each = 20
	server := startRedis(t)
	gate := e2e.NewGate(t)
	up = e2e.NewUpstream(t, gate.Hold(numbered), numbered)
	f = startFleet(t, 4, e2e.Setup{Top: onRedis(server.address), Adapters: e2e.Adapter("sales", up.URL, patient, policy)})
	f.waitShared(true, 5*time.Second)
	owner := 0
	var killed time.Time
	for pod, of := range f.same(each, "/sales/orders", `{"a":1}`, "key-1", func() {
		h := gate.WaitEntered(t)
		_, err := fmt.Sscan(h.Header.Get("X-Pod"), &owner)
		must(t, err)
		f.waitInFlight("sales", each)
		killed = time.Now()
		f.pods[owner].Kill9()
	}) {
		for _, a := range of {
			if pod != owner {
				answers = append(answers, a)
			} else if a.Status != 0 {
				t.Errorf("an answer %d %q came from the pod that was killed in mid-call", a.Status, a.Body)
			}
		}
	}
	t.Logf("pod %d was killed; the others had their answers %s later", owner, time.Since(killed).Round(100*time.Millisecond))
	return answers, up, f, f.pods[owner]
}

func TestKeyOfACrashedPodIsNeverRunBlindly(t *testing.T) {
	t.Parallel()
	answers, up, f, dead := ownerCrash(t, "idempotency: { honoured: false }")
	letters := map[string]int{}
	for _, a := range answers {
		p := a.WantProblem(t, 409, "outcome-unknown")
		letters[p.LetterID]++
		if p.Retryable {
			t.Errorf("outcome-unknown is said to be retryable")
		}
	}
	up.WantCount(t, 1)
	t.Logf("letters named by the answers: %v", letters)
	dead.Restart()
	for _, s := range f.pods { // also later, and through the pod that was the owner
		p := s.Post(t, "/sales/orders", `{"a":1}`, keyField("key-1")).WantProblem(t, 409, "outcome-unknown")
		letters[p.LetterID]++
	}
	up.WantCount(t, 1)
	if len(letters) != 1 || letters[""] > 0 {
		t.Fatalf("the answers name the letters %v, want the same one", letters)
	}
	for id := range letters {
		wantUnknownLetter(t, f, id)
		for _, s := range f.pods { // who has looked sends it again; from whichever spool, and however often, it is sent once
			s.MustCommand(t, "dlq", "replay", id, "--force")
		}
		up.WantCount(t, 2)
		for _, s := range f.pods {
			if l := s.Letter(t, id); l.State != "replayed" && l.State != "resolved" {
				t.Errorf("letter %s is %q after its replay", id, l.State)
			}
		}
	}
}

// wantUnknownLetter fails the test unless the letter is kept: by the pod that crashed, and by those that found its call
// of unknown outcome, since the crashed one may never come back.
func wantUnknownLetter(t *testing.T, f *fleet, id string) {
	t.Helper()
	found := 0
	for _, s := range f.pods {
		if r := s.Command(t, "dlq", "show", id, "-o", "json"); r.Code != 0 {
			continue
		}
		found++
		l := s.Letter(t, id)
		if l.Error.Type != "outcome_unknown" || l.Metadata.IdempotencyKey != "key-1" || string(l.OriginalMessage.Body) != `{"a":1}` {
			t.Errorf("letter %s: type %q key %q body %q", id, l.Error.Type, l.Metadata.IdempotencyKey, l.OriginalMessage.Body)
		}
	}
	if found != len(f.pods) {
		t.Errorf("letter %s, which all pods named, is in the spools of %d of %d", id, found, len(f.pods))
	}
}

func TestKeyOfACrashedPodIsSentOnceMoreToAnHonouringProvider(t *testing.T) {
	t.Parallel()
	answers, up, _, _ := ownerCrash(t, "idempotency: { honoured: true }")
	for _, a := range answers {
		if a.Status != 201 || a.Body != `{"order":2}` {
			t.Errorf("answer %d %.200q, want the one of the second call", a.Status, a.Body)
		}
	}
	for _, h := range up.WantCount(t, 2) {
		if got := h.Header.Get("X-Idempotency-Key"); got != "key-1" {
			t.Errorf("hit %d carried the key %q, want key-1 each time", h.N, got)
		}
	}
}
