package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const reloadSuccess = "integration_config_last_reload_successful"

// awaitAdapter returns when calls under /name/ are no longer 404 (or are again, for there false).
func awaitAdapter(t *testing.T, s *Sidecar, name string, there bool) {
	t.Helper()
	Eventually(t, fmt.Sprintf("adapter %s to be there: %v", name, there), func() bool {
		return (s.Get(t, "/"+name+"/probe").Kind() != "no-adapter") == there
	})
}

func TestFiftyReloadsUnderLoadFailNoCall(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	base := Adapter("sales", up.URL, honoured, "rate_limit: { capacity: 1000000, refill_rate: 1000000 }")
	s := Start(t, Setup{Adapters: base})
	load := startLoad(t, s, 8)
	for n := range 50 {
		marker := fmt.Sprint("marker-", n)
		s.Write(Setup{Adapters: base + Adapter(marker, up.URL)})
		if n%2 == 0 { // every other one is noticed without a signal
			s.Hangup()
		}
		awaitAdapter(t, s, marker, true)
	}
	calls := load.stop()
	if calls < 500 {
		t.Errorf("only %d calls were made during 50 reloads, too few to say anything", calls)
	}
	awaitAdapter(t, s, "marker-0", false)
	s.Metrics(t).Want(t, reloadSuccess, 1)
}

func TestInvalidFileChangesNothing(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	good := Setup{Adapters: Adapter("sales", up.URL)}
	s := Start(t, good)
	s.Metrics(t).Want(t, reloadSuccess, 1)
	load := startLoad(t, s, 4)
	for name, bad := range map[string]string{
		"fault":           strings.Replace(s.document(good), "upstream:", "upstreem:", 1),
		"no YAML":         "adapters: [",
		"empty":           "",
		"vault added":     s.document(good) + "vault: { address: https://vault.example:8200 }\n",
		"port moved":      strings.Replace(s.document(good), s.Proxy, s.Admin, 1),
		"literal secrets": s.document(Setup{Adapters: Adapter("sales", up.URL, "auth: { bearer: hunter2-literal }")}),
	} {
		s.WriteText(bad)
		s.Hangup()
		Eventually(t, name+" to be refused", func() bool { return s.Metrics(t)[reloadSuccess] == 0 })
		s.Get(t, "/sales/a").WantStatus(t, 200)
		s.Write(good)
		s.Hangup()
		Eventually(t, "the good file to be taken after "+name, func() bool { return s.Metrics(t)[reloadSuccess] == 1 })
	}
	if calls := load.stop(); calls == 0 {
		t.Errorf("no call was made meanwhile")
	}
	if !containsAll(s.Log.String(), "upstreem", "sidecar.yaml:") {
		t.Errorf("the log does not name the fault and its line")
	}
	if strings.Contains(s.Log.String(), "hunter2-literal") {
		t.Errorf("the log repeats a literal secret of a refused file")
	}
}

func TestConfigMapSwapIsNoticed(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	dir := t.TempDir()
	s := Prepare(t, Setup{Config: filepath.Join(dir, "sidecar.yaml")})
	publish := func(n int, c Setup) { // as the kubelet does it
		version := fmt.Sprintf("..v%d", n)
		must(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, version, "sidecar.yaml"), []byte(s.document(c)), 0o644))
		must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if n > 0 {
			must(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..v%d", n-1))))
		}
	}
	publish(0, Setup{Adapters: Adapter("sales", up.URL)})
	must(t, os.Symlink("..data/sidecar.yaml", filepath.Join(dir, "sidecar.yaml")))
	s.launch()
	s.WaitReady()
	for n := 1; n <= 5; n++ {
		name := fmt.Sprint("marker-", n)
		publish(n, Setup{Adapters: Adapter("sales", up.URL) + Adapter(name, up.URL)})
		awaitAdapter(t, s, name, true)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenBreakerStaysOpenOverReload(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), OK("never"))
	other := NewUpstream(t, OK("ok"))
	sales := func(reset time.Duration) string { return Adapter("sales", up.URL, breakerPolicy(1, 1, reset)) }
	manual := Adapter("manual", other.URL)
	s := Start(t, Setup{Adapters: sales(time.Minute) + manual})
	s.Get(t, "/sales/a").WantStatus(t, 500)
	s.MustCommand(t, "breaker", "open", "manual")
	for name, adapters := range map[string]string{"unchanged": sales(time.Minute), "its own settings changed": sales(2 * time.Minute)} {
		marker := "m" + fmt.Sprint(len(name))
		s.Write(Setup{Adapters: adapters + manual + Adapter(marker, other.URL)})
		s.Hangup()
		awaitAdapter(t, s, marker, true)
		if a := s.Get(t, "/sales/a"); a.Kind() != "circuit-open" {
			t.Errorf("%s: status %d after a reload, want the breaker still open", name, a.Status)
		}
		if a := s.Get(t, "/manual/a"); a.Kind() != "circuit-open" {
			t.Errorf("%s: status %d after a reload, want the breaker opened by hand still open", name, a.Status)
		}
	}
	up.WantCount(t, 1)
}

func TestBreakerKeepsItsCountsOverReload(t *testing.T) {
	t.Parallel()
	const reset = 1500 * time.Millisecond
	up, other := NewUpstream(t, Status(500), Status(500), Status(500), OK("healed")), NewUpstream(t, OK("ok"))
	sales := Adapter("sales", up.URL, breakerPolicy(3, 1, reset))
	s := Start(t, Setup{Adapters: sales})
	reload := func(marker string) {
		s.Write(Setup{Adapters: sales + Adapter(marker, other.URL)})
		s.Hangup()
		awaitAdapter(t, s, marker, true)
	}
	s.Get(t, "/sales/a").WantStatus(t, 500)
	s.Get(t, "/sales/a").WantStatus(t, 500)
	reload("m1")
	s.Get(t, "/sales/a").WantStatus(t, 500)
	opened := time.Now()
	s.Get(t, "/sales/a").WantProblem(t, 503, "circuit-open") // the third in a row, although a reload came between
	Until(opened.Add(reset * 2 / 3))
	reload("m2")
	Eventually(t, "a probe", func() bool { return s.Get(t, "/sales/a").Status == 200 })
	if took := time.Since(opened); took > reset*8/5 {
		t.Errorf("it probed %s after it opened: a reload must not start its %s anew", took, reset)
	}
}

func TestBucketIsNotRefilledByReload(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	sales := Adapter("sales", up.URL, "rate_limit: { capacity: 2, refill_rate: 0.01 }")
	s := Start(t, Setup{Adapters: sales})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	s.Get(t, "/sales/a").WantStatus(t, 200)
	s.Write(Setup{Adapters: sales + Adapter("marker", up.URL)})
	s.Hangup()
	awaitAdapter(t, s, "marker", true)
	s.Get(t, "/sales/a").WantProblem(t, 429, "rate-limited")
}

func TestInFlightCallFinishesOnTheOldSnapshot(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("finished")))
	other := NewUpstream(t, OK("other"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL) + Adapter("erp", up.URL)})
	done := make(chan Answer, 1)
	go func() {
		a, _ := s.Try(t.Context(), http.MethodGet, "/sales/a", "")
		done <- a
	}()
	gate.WaitEntered(t)
	own := FreeAddr(t)
	s.Write(Setup{Adapters: Adapter("erp", other.URL) + Adapter("crm", other.URL, "listen: "+own)})
	s.Hangup()
	awaitAdapter(t, s, "crm", true)
	s.Get(t, "/sales/a").WantProblem(t, 404, "no-adapter")
	if a := s.Get(t, "/erp/a"); a.Body != "other" {
		t.Errorf("an adapter whose upstream changed still goes to %q", a.Body)
	}
	if a := s.Get(t, "http://"+own+"/a"); a.Body != "other" {
		t.Errorf("the port of a new adapter answers %d %q", a.Status, a.Body)
	}
	gate.Open()
	if a := Receive(t, done, "the call in flight"); a.Status != 200 || a.Body != "finished" {
		t.Errorf("the call in flight during the reload got %d %q, want 200", a.Status, a.Body)
	}
}
