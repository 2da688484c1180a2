package policy

import (
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/units"
)

func testReconcile(path string) *Reconcile {
	return &Reconcile{Method: "GET", Path: path, AppliedWhen: "status 2xx", NotAppliedWhen: "status 404", Settle: units.Duration(time.Minute)}
}

func TestALookupIsMadeFromTheCallOfTheLetter(t *testing.T) {
	l := &dlq.Letter{Metadata: dlq.Metadata{IdempotencyKey: "k/1 ä&b"},
		OriginalMessage: dlq.Message{Target: "/orders?ref=a%2Fb+c&up=..%2Fx", Body: []byte(`{"order":{"id":4711,"no":""},"big":12345678901234567890}`),
			Headers: dlq.Headers{{Name: "X-Order", Value: "o 1"}}}}
	for path, want := range map[string]string{
		"/orders/{key}":                        "/orders/k%2F1%20%C3%A4%26b",
		"/orders/{body:/order/id}/{body:/big}": "/orders/4711/12345678901234567890",
		"/orders?ref={query:ref}&x=1":          "/orders?ref=a%2Fb%20c&x=1",
		"/{header:x-order}":                    "/o%201",
		"/orders/{body:/order/none}":           "",
		"/orders/{body:/order/no}":             "",
		"/orders/{body:/order}":                "",
		"/orders/{query:up}":                   "",
		"/orders/{query:none}":                 "",
		"/{header:X-None}":                     "",
	} {
		if got, err := testReconcile(path).Target(l); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestALookupThatCannotBeMadeIsAFault(t *testing.T) {
	for path, good := range map[string]bool{
		"/orders/{key}": true, "/orders": true, "/o?id={body:/id}": true,
		"orders": false, "/o/{id}": false, "/o/{key": false, "/o/key}": false, "/o/{key:x}": false, "/o/{body:id}": false, "/o/{query:}": false,
		"/o/{header:a b}": false, "/o/{tenant}": false, "/a b": false, "/a#b": false, "/../a": false, "/{}": false,
	} {
		var found reported
		testReconcile(path).check(&found)
		if (len(found) == 0) != good {
			t.Errorf("%s: %v", path, found)
		}
	}
	for _, c := range []*Reconcile{{Path: "/a", AppliedWhen: "status 2xx", NotAppliedWhen: "status 204"}, {Path: "/a", AppliedWhen: "status 200", NotAppliedWhen: "status 401"}} {
		var found reported
		if c.check(&found); len(found) != 1 {
			t.Errorf("%+v: %v", c, found)
		}
	}
}

func TestWhatALookupProves(t *testing.T) {
	now := time.Now()
	long, lately := now.Add(-time.Hour), now.Add(-time.Second)
	for _, c := range []struct {
		status int
		last   time.Time
		want   Finding
	}{
		{200, long, Applied}, {204, lately, Applied}, {404, long, Absent}, {404, lately, Undecided}, {410, long, Undecided},
		{500, long, Undecided}, {302, long, Undecided}, {401, long, Undecided}, {429, long, Undecided},
	} {
		got, why := testReconcile("/a").Judge(c.status, c.last, now)
		if got != c.want || (why == "") == (got == Undecided) {
			t.Errorf("%d %s after the last attempt: %v, %q", c.status, now.Sub(c.last), got, why)
		}
	}
	wide := testReconcile("/a")
	wide.NotAppliedWhen = "status 4xx"
	if got, _ := wide.Judge(403, long, now); got != Undecided {
		t.Errorf("403 proves %v: the lookup was not let in", got)
	}
}
