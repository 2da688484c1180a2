package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// names are the series of one adapter, by family, with their labels.
func names(t *testing.T, m *Metrics, adapter string) map[string][]string {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			mine, rest := false, []string{}
			for _, l := range s.GetLabel() {
				if l.GetName() == "adapter_id" && l.GetValue() == adapter {
					mine = true
				} else {
					rest = append(rest, l.GetName()+"="+l.GetValue())
				}
			}
			if mine {
				found[f.GetName()] = append(found[f.GetName()], strings.Join(rest, ","))
			}
		}
	}
	return found
}

func TestTheSpecificationsMetricsAreThereFromTheStart(t *testing.T) {
	m := NewMetrics("v1", "c1")
	m.Adapter("erp")
	found := names(t, m, "erp")
	types := []string{}
	for _, e := range problem.ErrorTypes() {
		types = append(types, "error_type="+string(e))
	}
	slices.Sort(types)
	for name, want := range map[string][]string{
		"integration_requests_total": {"status=failure", "status=success"}, "integration_request_duration_seconds": {""}, "integration_retries_total": {""},
		"integration_errors_total": types,
	} {
		if got := slices.Sorted(slices.Values(found[name])); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestTheSpecificationsBucketsAreThere(t *testing.T) {
	for _, bound := range []float64{.1, .5, 1, 2, 5, 10, 30} {
		if !slices.Contains(durationBuckets, bound) {
			t.Errorf("no bucket of %v s", bound)
		}
	}
	if durationBuckets[0] >= .1 || !slices.IsSorted(durationBuckets) {
		t.Errorf("buckets %v", durationBuckets)
	}
}

func TestHandlesOutliveAReloadAndEndWithTheirAdapter(t *testing.T) {
	m := NewMetrics("v1", "c1")
	first := m.Adapter("erp")
	if m.Adapter("erp") != first {
		t.Error("an adapter that stays got new handles")
	}
	m.Adapter("crm")
	m.Forget("erp")
	if left := names(t, m, "erp"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if kept := names(t, m, "crm"); len(kept) == 0 {
		t.Error("another adapter was forgotten too")
	}
	if m.Adapter("erp") == first {
		t.Error("the old handles count into nothing")
	}
}

func TestTotalsAreWhatTheCountersSay(t *testing.T) {
	m := NewMetrics("v1", "c1")
	a := m.Adapter("erp")
	a.Success.Add(5)
	a.Failure.Add(3)
	a.Retries.Add(2)
	a.LettersKept.Inc()
	a.LettersLost.Add(4)
	m.BreakerChanged("erp", "open")
	m.BreakerChanged("erp", "half-open")
	if got, want := a.Totals(), (Totals{Succeeded: 5, Failed: 3, Retries: 2, LettersKept: 1, LettersLost: 4, BreakerOpens: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A breaker of an adapter that a reload took away may still change; its series must not come back.
func TestABreakerOfAnAdapterThatIsGoneIsNotCounted(t *testing.T) {
	m := NewMetrics("v1", "c1")
	m.Adapter("erp")
	m.Forget("erp")
	m.BreakerChanged("erp", "open")
	if left := names(t, m, "erp"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestLogsAreOneLineOfJSONOrText(t *testing.T) {
	for format, want := range map[string]string{"json": `"msg":"hello"`, "text": "msg=hello"} {
		var b bytes.Buffer
		level := new(slog.LevelVar)
		log := NewLogger(&b, level, format)
		level.Set(ParseLevel("warn"))
		log.Info("not logged")
		level.Set(ParseLevel("info"))
		log.Info("hello")
		if strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), want) || json.Valid(b.Bytes()) != (format == "json") {
			t.Errorf("%s: %q", format, b.String())
		}
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError, "": slog.LevelInfo, "loud": slog.LevelInfo} {
		if got := ParseLevel(text); got != want {
			t.Errorf("%q is %v", text, got)
		}
	}
}
