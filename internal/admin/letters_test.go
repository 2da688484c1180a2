package admin

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

func TestFiltersReachTheSpool(t *testing.T) {
	world := newWorld()
	w := ask(world.handler(nil), "GET", "/api/v1/letters?adapter=sales-system&error_type=timeout&since=2026-01-31T09:30:00Z"+
		"&until=2026-01-31T10:30:00%2B01:00&tenant=acme&key=k%201&state=dead,forwarded&state=replayed&limit=1&after=a", "")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	at := time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
	f := world.asked
	if !f.Since.Equal(at) || !f.Until.Equal(at) {
		t.Errorf("since %s, until %s", f.Since, f.Until)
	}
	f.Since, f.Until = time.Time{}, time.Time{}
	want := dlq.Filter{Adapter: "sales-system", ErrorType: problem.TypeTimeout, Tenant: "acme", Key: "k 1",
		States: []dlq.State{dlq.Dead, dlq.Forwarded, dlq.Replayed}}
	if !reflect.DeepEqual(f, want) || world.visited != 3 || !strings.Contains(w.Body.String(), `"id":"b"`) {
		t.Errorf("%+v, %d visited, %s", f, world.visited, w.Body)
	}
}

// A misspelt filter that chose every letter would replay every letter.
func TestDoubtfulFiltersAreRefused(t *testing.T) {
	for query, say := range map[string]string{
		"adaptor=x": "adaptor: is unknown", "error_type=bad": `"bad" is none of validation`, "since=2h": "since: ", "until=tomorrow": "until: ",
		"limit=0": "limit: ", "limit=5001": "limit: ", "limit=x": "limit: ", "state=deed": `"deed" is none of dead`, "adapter=a&adapter=b": "more than once",
	} {
		world := newWorld()
		p := problemOf(t, ask(world.handler(nil), "GET", "/api/v1/letters?"+query, ""))
		if p.Status != 400 || !strings.Contains(p.Detail, say) || world.visited != 0 {
			t.Errorf("%s: %+v, %d letters visited", query, p, world.visited)
		}
	}
}

func TestQuerySurvivesTheURL(t *testing.T) {
	want := Query{Limit: 5, After: "0198", From: "kafka", Filter: dlq.Filter{Adapter: "a b&c", ErrorType: problem.TypeNetwork, Tenant: "ü", Key: "k",
		Operation: "POST /a/{b}", Untried: "night",
		Since: time.Unix(1, 5).UTC(), Until: time.Unix(99, 0).UTC(), States: []dlq.State{dlq.Dead}}}
	values, err := url.ParseQuery(want.Values().Encode())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseQuery(values); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	all, err := ParseQuery(url.Values{"state": {"dead,all"}, "since": {""}})
	if err != nil || all.Filter.States != nil || all.Limit != DefaultLimit {
		t.Errorf("%+v %v", all, err)
	}
}

func TestListHoldsNeitherBodiesNorQueryValues(t *testing.T) {
	w := ask(newWorld().handler(nil), "GET", "/api/v1/letters?limit=2", "")
	var p Page
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Letters) != 2 || !p.More || p.Letters[0].ID != "a" || p.Letters[0].OriginalMessage.BodyBytes != 17 || p.Letters[0].OriginalMessage.URL != "https://sales.example.com/orders" {
		t.Errorf("%+v", p)
	}
	if s := w.Body.String(); strings.Contains(s, "4111") || strings.Contains(s, "Content-Type") || strings.Contains(s, "c2VjcmV0") {
		t.Errorf("too much in a list: %s", s)
	}
	none := &world{}
	if w := ask(none.handler(nil), "GET", "/api/v1/letters", ""); strings.TrimSpace(w.Body.String()) != `{"letters":[],"more":false}` {
		t.Errorf("nothing: %s", w.Body)
	}
}

func TestOneLetterIsWhole(t *testing.T) {
	w := ask(newWorld().handler(nil), "GET", "/api/v1/letters/b", "")
	var l dlq.Letter
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil || !reflect.DeepEqual(&l, letter("b")) {
		t.Errorf("%v %s", err, w.Body)
	}
	if p := problemOf(t, ask(newWorld().handler(nil), "GET", "/api/v1/letters/zz", "")); p.Status != 404 || p.Detail != "there is no letter zz" {
		t.Errorf("%+v", p)
	}
}

// What fails inside may name paths of the host: that is for the log alone.
func TestInnerFailuresStayInside(t *testing.T) {
	world := newWorld()
	world.failure = errors.New("open /var/lib/sidecar/dlq/spool.db: no space left on device")
	for _, target := range []string{"GET /api/v1/letters", "POST /api/v1/letters/a/replay", "POST /api/v1/letters/a/discard", "POST /api/v1/breakers/sales-system/open"} {
		method, path, _ := strings.Cut(target, " ")
		if p := problemOf(t, ask(world.handler(nil), method, path, "")); p.Status != 500 || strings.Contains(p.Detail, "/var") {
			t.Errorf("%s: %+v", target, p)
		}
	}
	if !strings.Contains(world.log.String(), "no space left") {
		t.Errorf("log: %s", world.log.String())
	}
}
