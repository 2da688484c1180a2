package recent

import (
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestEachStepCountsItsOwn(t *testing.T) {
	l := NewLog()
	a := l.Adapter("sales")
	a.Count(noon, 20*time.Millisecond, true)
	a.Count(noon.Add(9*time.Second), 20*time.Millisecond, false)
	a.Count(noon.Add(10*time.Second), 20*time.Millisecond, true)
	s := l.Series(noon.Add(25 * time.Second))["sales"]
	last := Steps - 1
	if s.Success[last] != 0 || s.Success[last-1] != 1 || s.Success[last-2] != 1 || s.Failed[last-2] != 1 || s.Failed[last-1] != 0 {
		t.Errorf("success %v, failed %v", s.Success[last-2:], s.Failed[last-2:])
	}
	if s.Total != 3 || s.Failures != 1 || len(s.P50) != Steps || s.P50[last] != 0 || s.P50[last-1] == 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsOlderThanAQuarterOfAnHourIsForgotten(t *testing.T) {
	l := NewLog()
	a := l.Adapter("sales")
	a.Count(noon, time.Millisecond, true)
	if s := l.Series(noon.Add(Steps*Step - time.Second))["sales"]; s.Success[0] != 1 {
		t.Errorf("the oldest step lost %v", s.Success)
	}
	if s := l.Series(noon.Add(Steps * Step))["sales"]; s.Total != 0 {
		t.Errorf("%d calls of before are still counted", s.Total)
	}
	a.Count(noon.Add(Steps*Step), time.Millisecond, false) // takes the place of the first
	if s := l.Series(noon.Add(Steps * Step))["sales"]; s.Total != 1 || s.Failures != 1 {
		t.Errorf("%+v", s)
	}
}

func TestALatencyIsFoundInItsBin(t *testing.T) {
	for took := 300 * time.Microsecond; took < time.Minute; took += took / 7 {
		b, ms := bin(took), float64(took.Microseconds())/1000
		if b > 0 && ms < upper(b-1)-0.256 || b < bins-1 && ms > upper(b)+0.256 {
			t.Errorf("%s is in bin %d, which goes from %g to %g ms", took, b, upper(b-1), upper(b))
		}
	}
	for b := 1; b < bins; b++ {
		if upper(b) <= upper(b-1) {
			t.Errorf("bin %d ends at %g, the one before at %g", b, upper(b), upper(b-1))
		}
	}
	if bin(-time.Second) != 0 || bin(0) != 0 || bin(24*time.Hour) != bins-1 {
		t.Error("latencies beyond the bins have no place")
	}
}

func TestQuantilesAreNearTheTruth(t *testing.T) {
	l := NewLog()
	for i := range 1000 {
		l.Adapter("sales").Count(noon, time.Duration(i+1)*time.Millisecond, true)
	}
	s := l.Series(noon)["sales"]
	for name, c := range map[string]struct{ got, want float64 }{"p50": {s.TotalP50, 500}, "p95": {s.TotalP95, 950}} {
		if math.Abs(c.got-c.want) > 0.1*c.want {
			t.Errorf("%s is %g, want about %g", name, c.got, c.want)
		}
	}
	if s.TotalP50 != s.P50[Steps-1] {
		t.Errorf("the step says %g, the whole %g", s.P50[Steps-1], s.TotalP50)
	}
}

func TestAForgottenAdapterIsGone(t *testing.T) {
	l := NewLog()
	a := l.Adapter("sales")
	if l.Adapter("sales") != a {
		t.Error("a reload starts its series anew")
	}
	l.Forget("sales")
	a.Count(noon, time.Second, true) // a call that was under way
	if len(l.Series(noon)) != 0 {
		t.Error("it is still told")
	}
}
