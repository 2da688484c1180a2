package alert

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// One golden per kind of group: what both targets are told when it fires and when it is over.
func TestEveryKindIsToldAsItsGolden(t *testing.T) {
	c := Config{Alertmanager: alertmanagerURL, Webhook: webhookURL, Admin: "127.0.0.1:9901", Instance: "shop-7d4f"}.withDefaults()
	for name, g := range map[string]Group{
		"letters":         {AdapterID: "sales-system-pyxis", Adapter: "sales-system", ErrorType: "timeout", Open: 3, Oldest: noon.Add(-time.Hour)},
		"outcome-unknown": {AdapterID: "erp", ErrorType: "outcome_unknown", Open: 1},
		"letters-lost":    {Kind: LettersLost, Lost: 2, Why: "no space left on device", ErrorType: "timeout"},
		"breaker-open":    {Kind: BreakerOpen, AdapterID: "sales-system-pyxis", Adapter: "sales-system"},
	} {
		var b strings.Builder
		for _, n := range []notice{{g.normal(), firing, noon, time.Time{}}, {g.normal(), resolved, noon, noon.Add(time.Minute)}} {
			for _, f := range c.formats() {
				text, err := json.MarshalIndent(f.encode([]notice{n}, noon.Add(time.Second)), "", "  ")
				must(t, err)
				fmt.Fprintf(&b, "POST %s\n%s\n\n", f.url, text)
			}
		}
		path := filepath.Join("testdata", name+".golden")
		if *update {
			must(t, os.WriteFile(path, []byte(b.String()), 0o644))
		}
		want, err := os.ReadFile(path)
		must(t, err)
		if b.String() != string(want) {
			t.Errorf("%s is told as\n%s\nwant\n%s", name, b.String(), want)
		}
	}
}

func TestLabelsAreOfTheGroupAlone(t *testing.T) {
	c := Config{Instance: "shop-7d4f"}
	want := map[string]string{"alertname": "IntegrationLetters", "severity": "warning", "adapter_id": "erp-id", "error_type": "timeout", "instance": "shop-7d4f"}
	one, many := lettersOf("erp", 1).normal(), lettersOf("erp", 900).normal()
	many.Oldest, many.Why = noon, "anything"
	if !maps.Equal(c.labels(one), want) || !maps.Equal(c.labels(many), want) {
		t.Errorf("labels %v and %v", c.labels(one), c.labels(many))
	}
}

func TestTheCommandsReachAnAdminListenerElsewhere(t *testing.T) {
	m := Config{Admin: "127.0.0.1:7000"}.text(notice{group: lettersOf("erp", 1).normal(), status: firing})
	if m.look != "sidecar dlq list --adapter erp --error-type timeout --admin 127.0.0.1:7000" || !strings.HasSuffix(m.replay, " --dry-run --admin 127.0.0.1:7000") {
		t.Errorf("%q, %q", m.look, m.replay)
	}
}

func TestTheAlertmanagerGetsAllThatIsDueInOnePOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Alertmanager: alertmanagerURL})
		s.set(lettersOf("erp", 1), lettersOf("crm", 1), Group{Kind: LettersLost, Lost: 1})
		a.Kick()
		synctest.Wait()
		got := r.take()
		if len(got) != 1 || got[0].path != "/prefix/api/v2/alerts" || len(posted(t, got)) != 3 {
			t.Errorf("%d POSTs", len(got))
		}
	})
}

func TestTheAlertOfADeadSidecarEndsByItselfAndOfALivingOneDoesNot(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			a, s, r := started(t, Config{Alertmanager: alertmanagerURL, GroupInterval: interval})
			s.set(lettersOf("erp", 1))
			a.Kick()
			time.Sleep(10*interval + interval/2)
			got := r.take()
			if len(got) != 11 {
				t.Errorf("interval %s: sent %d times in ten and a half", interval, len(got))
			}
			for i, p := range posted(t, got) {
				if life := p.EndsAt.Sub(got[i].at); life != max(3*interval, minLifetime) {
					t.Errorf("interval %s: lives for %s", interval, life)
				}
			}
		})
	}
}

func TestAResolvedAlertEndsWhenItsGroupDidAndNotWhenItCouldBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Alertmanager: alertmanagerURL})
		start := time.Now()
		s.set(lettersOf("erp", 1))
		a.Kick()
		time.Sleep(time.Minute)
		r.take()
		r.answers(refuse)
		s.set()
		a.Kick()
		ended := time.Now()
		time.Sleep(time.Minute)
		r.take()
		r.answers(nil)
		time.Sleep(time.Minute)
		if got := posted(t, r.take()); len(got) != 1 || !got[0].EndsAt.Equal(ended) || !got[0].StartsAt.Equal(start) {
			t.Errorf("told %+v, want its end at %s", got, ended)
		}
	})
}

func TestAClockThatWasSetBackDoesNotMakeAnAlertEndBeforeItStarts(t *testing.T) {
	p := Config{}.withDefaults().postable(notice{group: lettersOf("erp", 1).normal(), status: resolved, since: noon, until: noon.Add(-time.Hour)}, noon)
	if p.EndsAt.Before(p.StartsAt) {
		t.Errorf("from %s to %s", p.StartsAt, p.EndsAt)
	}
}
