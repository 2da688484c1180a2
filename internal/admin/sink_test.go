package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/proxy"
)

// sinkWorld is a sidecar with a real spool, in front of a sink that holds these letters.
type sinkWorld struct {
	*world
	spool   *dlq.Spool
	handler http.Handler
	failure error // of the sink
}

func newSinkWorld(t *testing.T, letters ...*dlq.Letter) *sinkWorld {
	t.Helper()
	spool, err := dlq.Open(dlq.Config{Dir: t.TempDir(), Retention: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	w := &sinkWorld{world: newWorld(), spool: spool}
	sink := &Sink{Name: "kafka", Read: func(_ context.Context, f dlq.Filter, visit func(*dlq.Letter) bool) error {
		for _, l := range letters {
			if f.Matches(l) && !visit(l) {
				return nil
			}
		}
		return w.failure
	}}
	w.handler = New(Config{Controller: w.world, Letters: spool, Sink: sink, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	return w
}

func (w *sinkWorld) adopt(t *testing.T, query, body string) []proxy.ReplayResult {
	t.Helper()
	answer := ask(w.handler, "POST", "/api/v1/adopt?"+query, body)
	var a Adoption
	if err := json.Unmarshal(answer.Body.Bytes(), &a); err != nil || answer.Code != 200 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return a.Letters
}

func results(list []proxy.ReplayResult) string {
	var words []string
	for _, r := range list {
		words = append(words, r.ID+" "+r.Result)
	}
	return strings.Join(words, ", ")
}

func TestLettersOfASinkAreListed(t *testing.T) {
	w := newSinkWorld(t, letter("a"), letter("b"), letter("c"))
	answer := ask(w.handler, "GET", "/api/v1/letters?from=kafka&limit=2", "")
	var page Page
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil || len(page.Letters) != 2 || !page.More || page.Letters[1].ID != "b" {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if w.spool.Has("a") {
		t.Error("a letter that was only listed is in the spool")
	}
}

func TestChosenLettersOfASinkAreAdopted(t *testing.T) {
	sealed := letter("d")
	sealed.OriginalMessage.SealedWith = "abcd"
	other := letter("e")
	other.Metadata.Adapter = "erp"
	w := newSinkWorld(t, letter("a"), letter("b"), letter("c"), sealed, other)
	if got := results(w.adopt(t, "from=kafka&adapter=sales-system", `{"dry_run": true}`)); got != "a would-send, b would-send, c would-send, d would-send" {
		t.Errorf("dry run: %s", got)
	}
	if o := w.replayed[0]; !o.FromSink || !o.DryRun || w.spool.Has("a") {
		t.Errorf("a dry run asked %+v", o)
	}
	if got := results(w.adopt(t, "from=kafka", `{"ids": ["b"], "who": "ann"}`)); got != "b adopted" {
		t.Errorf("by id: %s", got)
	}
	if got := results(w.adopt(t, "from=kafka&adapter=sales-system&limit=3", `{}`)); got != "a adopted, b kept, c adopted" {
		t.Errorf("with a limit: %s", got)
	}
	if got := results(w.adopt(t, "from=kafka&adapter=sales-system", `{}`)); got != "a kept, b kept, c kept, d refused" {
		t.Errorf("again: %s", got)
	}
	if l, err := w.spool.Get("b"); err != nil || l.State != dlq.Forwarded || l.Audit[0].Who != "ann" || !strings.Contains(w.log.String(), "action=adopt object=b") {
		t.Errorf("%+v, %v\n%s", l, err, w.log.String())
	}
}

// What the spool knows of a letter is newer than what the sink does.
func TestALetterThatTheSpoolHoldsIsChosenAsItIsThere(t *testing.T) {
	w := newSinkWorld(t, letter("a"), letter("b"), letter("c"))
	w.adopt(t, "from=kafka", `{}`)
	if err := w.spool.Discard(t.Context(), "a", "ann"); err != nil {
		t.Fatal(err)
	}
	err := w.spool.Update(t.Context(), "b", func(l *dlq.Letter) error {
		l.Audit = append(l.Audit, dlq.Audit{Time: time.Now(), Action: dlq.ActionReplay, Run: "night"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := results(w.adopt(t, "from=kafka&state=dead,forwarded&untried=night", `{}`)); got != "c kept" {
		t.Errorf("chosen: %s", got)
	}
}

func TestASinkThatCannotBeReadIsSaid(t *testing.T) {
	w := newSinkWorld(t, letter("a"))
	for query, status := range map[string]int{"from=redis": 409, "from=kafka&after=x": 400, "from=rabbit": 400} {
		if p := problemOf(t, ask(w.handler, "GET", "/api/v1/letters?"+query, "")); p.Status != status {
			t.Errorf("%s: %+v", query, p)
		}
	}
	if p := problemOf(t, ask(newWorld().handler(nil), "POST", "/api/v1/adopt?from=kafka", "{}")); p.Status != 409 || !strings.Contains(p.Detail, "forwards its letters nowhere") {
		t.Errorf("without a sink: %+v", p)
	}
	if p := problemOf(t, ask(w.handler, "POST", "/api/v1/adopt", "{}")); p.Status != 400 {
		t.Errorf("of no sink: %+v", p)
	}
	w.failure = &dlq.UnreadableError{Count: 1, First: errors.New("no JSON")}
	if got := results(w.adopt(t, "from=kafka", "{}")); got != "a adopted" || !strings.Contains(w.log.String(), "no letter") {
		t.Errorf("beside what is no letter: %s\n%s", got, w.log.String())
	}
	w.failure = errors.New("dial tcp 10.0.0.1:9092: no route")
	if p := problemOf(t, ask(w.handler, "GET", "/api/v1/letters?from=kafka", "")); p.Status != 502 || strings.Contains(p.Detail, "10.0.0.1") || !strings.Contains(w.log.String(), "10.0.0.1") {
		t.Errorf("%+v", p)
	}
}
