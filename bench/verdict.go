package main

import "fmt"

// The results of a verdict.
const (
	pass      = "PASS"
	miss      = "MISS"
	notJudged = "NOT JUDGED" // something it needs was left out of the run
)

const (
	maxCPURatio      = 1.0  // CPU per call of the sidecar, in those of a bare httputil.ReverseProxy
	maxObservedRatio = 1.1  // CPU per call with everything observed at 1 %, in those with nothing
	maxResidentMB    = 25.0 // peak resident memory of the sidecar under load
	tripsOfLimit     = 1.0  // to Redis, for a token
	tripsOfKey       = 2.0  // to Redis, for a key's claim and its outcome
	tripsOfRest      = 0.01 // a few a second that no call waits for: probe, news of breakers, the bench's own INFO
)

// verdict is one target held against the run.
type verdict struct {
	Result string  `json:"result"`
	Text   string  `json:"text"`
	Value  float64 `json:"value"`
}

// judge holds the run against the targets, for the sidecar without and with its log.
func judge(b *bench) []verdict {
	var verdicts []verdict
	for _, name := range []string{nameSidecar, nameSidecarLog} {
		for _, w := range workloads() {
			if !w.keyed { // the yardstick knows no keys
				verdicts = append(verdicts, b.judgeCPU(name, w.name))
			}
		}
	}
	for _, w := range workloads() {
		if !w.keyed {
			verdicts = append(verdicts, b.judgeObserved(w.name))
		}
	}
	for _, name := range []string{nameSidecar, nameSidecarLog, nameObserved} {
		verdicts = append(verdicts, b.judgeMemory(name))
	}
	for _, w := range workloads() {
		verdicts = append(verdicts, b.judgeRoundTrips(w))
	}
	return verdicts
}

// judgeRoundTrips holds the sidecar to what its design promises of Redis.
func (b *bench) judgeRoundTrips(w workload) verdict {
	limit := tripsOfLimit
	if w.keyed {
		limit += tripsOfKey
	}
	text := fmt.Sprintf("%s %s: round trips to Redis per call at most %.0f", nameRedis, w.name, limit)
	s := b.find(nameRedis)
	if s == nil {
		return verdict{Result: notJudged, Text: text}
	}
	trips := medianOf(s.slices[w.name], roundTrips)
	return held(trips, limit+tripsOfRest, fmt.Sprintf("%s: %.3f", text, trips))
}

func (b *bench) judgeCPU(name, workload string) verdict {
	text := fmt.Sprintf("%s %s: CPU per call at most that of bare httputil", name, workload)
	s := b.find(name)
	if s == nil || b.find(nameHTTPUtil) == nil {
		return verdict{Result: notJudged, Text: text}
	}
	ratio := b.compare(s, nameHTTPUtil, workload).CPU
	return held(ratio, maxCPURatio, fmt.Sprintf("%s: %.2f times", text, ratio))
}

func (b *bench) judgeMemory(name string) verdict {
	text := fmt.Sprintf("%s: at most %.0f MB resident under load", name, maxResidentMB)
	s := b.find(name)
	if s == nil {
		return verdict{Result: notJudged, Text: text}
	}
	peak := megabytes(s.loaded.peak)
	return held(peak, maxResidentMB, fmt.Sprintf("%s: peak %.1f MB", text, peak))
}

func held(value, limit float64, text string) verdict {
	if value <= limit {
		return verdict{Result: pass, Text: text, Value: value}
	}
	return verdict{Result: miss, Text: text, Value: value}
}
