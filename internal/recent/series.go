package recent

import (
	"math/bits"
	"sync"
	"time"
)

// The series of an adapter: Steps of Step each.
const (
	Step  = 10 * time.Second
	Steps = 90
)

// bins is how many latencies are told apart: two to each doubling, from 256 µs up to about a minute.
const bins = 36

// Adapter counts what came of the exchanges of one adapter, in fixed arrays of about 15 KB.
type Adapter struct {
	mu    sync.Mutex
	steps [Steps]step
}

type step struct {
	tick            int64 // which step of time since 1970 this is
	success, failed uint32
	latency         [bins]uint32
}

// Adapter returns the counters of the adapter of this name, which it keeps. On nil it returns nil, which counts nothing.
func (l *Log) Adapter(name string) *Adapter {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.adapters[name]
	if a == nil {
		a = new(Adapter)
		l.adapters[name] = a
	}
	return a
}

// Forget drops the counters of an adapter that is gone.
func (l *Log) Forget(name string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.adapters, name)
}

// Count counts an exchange that ended at a time after took.
func (a *Adapter) Count(end time.Time, took time.Duration, ok bool) {
	if a == nil {
		return
	}
	tick := end.Unix() / int64(Step/time.Second)
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.steps[tick%Steps]
	if s.tick != tick {
		*s = step{tick: tick}
	}
	if ok {
		s.success++
	} else {
		s.failed++
	}
	s.latency[bin(took)]++
}

// bin finds the place of a latency: 0 up to 256 µs, 1 up to 512 µs, then two for each doubling.
func bin(took time.Duration) int {
	units := uint64(max(took.Microseconds(), 0)) >> 8
	if units < 2 {
		return int(units)
	}
	doublings := bits.Len64(units) // from 2
	half := int(units >> (doublings - 2) & 1)
	return min(2*doublings-2+half, bins-1)
}

// upper is the end of a bin in milliseconds.
func upper(b int) float64 {
	const unit = 0.256
	if b < 2 {
		return unit * float64(b+1)
	}
	low := unit * float64(uint64(1)<<(b/2))
	if b%2 == 0 {
		return 1.5 * low
	}
	return 2 * low
}

// Series is one adapter's last quarter of an hour, oldest step first. The last step is not over yet.
type Series struct {
	Success []uint32  `json:"success"`
	Failed  []uint32  `json:"failed"`
	P50     []float64 `json:"p50_ms"` // 0: nothing ended in this step
	P95     []float64 `json:"p95_ms"`

	// Of the whole quarter of an hour.
	Total    uint64  `json:"total"`
	Failures uint64  `json:"failures"`
	TotalP50 float64 `json:"total_p50_ms"`
	TotalP95 float64 `json:"total_p95_ms"`
}

// Series returns the series of each adapter by name.
func (l *Log) Series(now time.Time) map[string]Series {
	out := map[string]Series{}
	if l == nil {
		return out
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, a := range l.adapters {
		out[name] = a.series(now)
	}
	return out
}

func (a *Adapter) series(now time.Time) Series {
	out := Series{Success: make([]uint32, Steps), Failed: make([]uint32, Steps), P50: make([]float64, Steps), P95: make([]float64, Steps)}
	first := now.Unix()/int64(Step/time.Second) - Steps + 1
	var all [bins]uint32
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range Steps {
		tick := first + int64(i)
		s := &a.steps[tick%Steps]
		if s.tick != tick {
			continue
		}
		out.Success[i], out.Failed[i] = s.success, s.failed
		out.P50[i], out.P95[i] = quantile(&s.latency, 0.5), quantile(&s.latency, 0.95)
		out.Total += uint64(s.success) + uint64(s.failed)
		out.Failures += uint64(s.failed)
		for b, n := range s.latency {
			all[b] += n
		}
	}
	out.TotalP50, out.TotalP95 = quantile(&all, 0.5), quantile(&all, 0.95)
	return out
}

// quantile is the latency in milliseconds below which a share of the exchanges stayed: between the ends of the bin in
// which the last of them lies, as if those of a bin were spread evenly. It is at most half off.
func quantile(latency *[bins]uint32, share float64) float64 {
	total := 0.0
	for _, n := range latency {
		total += float64(n)
	}
	want, below := total*share, 0.0
	for b, n := range latency {
		if n > 0 && below+float64(n) >= want {
			low := 0.0
			if b > 0 {
				low = upper(b - 1)
			}
			return low + (upper(b)-low)*(want-below)/float64(n)
		}
		below += float64(n)
	}
	return 0
}
