package simulator

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// remembered is how many records a system keeps at least; counts stay exact beyond it.
const remembered = 10_000

// Record is one request as the provider saw it.
type Record struct {
	Time           time.Time `json:"time"`
	Method         string    `json:"method"`
	Path           string    `json:"path"`
	Key            string    `json:"key,omitempty"`         // idempotency key, decoded
	BusinessID     string    `json:"business_id,omitempty"` // such as the order's, when the call was performed
	Correlation    string    `json:"correlation,omitempty"`
	Status         int       `json:"status"` // 0: no answer was sent, or none yet
	Fault          string    `json:"fault,omitempty"`
	SideEffect     bool      `json:"side_effect"`
	Replayed       bool      `json:"replayed,omitempty"` // answered from memory, by key
	Signature      string    `json:"signature,omitempty"`
	SignatureFault string    `json:"signature_fault,omitempty"`
}

// Counts are the totals since the start.
type Counts struct {
	Requests       int            `json:"requests"`
	SideEffects    int            `json:"side_effects"`
	Replays        int            `json:"replays"`
	BadCredentials int            `json:"bad_credentials"`
	BadSignatures  int            `json:"bad_signatures"`
	PerID          map[string]int `json:"side_effects_per_id"` // by business id
}

// journal is the memory of what happened.
type journal struct {
	mu      sync.Mutex
	records []*Record
	totals  Counts
	effects map[string]int
	arrived chan struct{} // closed and replaced when a request arrives
}

// begin notes a request that arrived and takes its fault in the same step, so that faults strike in the order in which
// Records and WaitRequests show the requests.
func (j *journal) begin(r *Record, take func() Fault) Fault {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := take()
	r.Fault = f.String()
	j.totals.Requests++
	if r.SignatureFault != "" {
		j.totals.BadSignatures++
	}
	if len(j.records) == 2*remembered {
		j.records = append([]*Record(nil), j.records[remembered:]...)
	}
	j.records = append(j.records, r)
	close(j.arrived)
	j.arrived = make(chan struct{})
	return f
}

func (j *journal) effect(r *Record, id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.SideEffect, r.BusinessID = true, id
	j.totals.SideEffects++
	j.effects[id]++
}

func (j *journal) replayed(r *Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Replayed = true
	j.totals.Replays++
}

func (j *journal) count(f func(*Counts)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(&j.totals)
}

func (j *journal) finish(r *Record, status int, how way) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if how == whole || how == half {
		r.Status = status
	}
}

// Counts returns the totals since the start.
func (s *System) Counts() Counts {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	totals := s.journal.totals
	totals.PerID = maps.Clone(s.journal.effects)
	return totals
}

// Requests counts the API requests that arrived, those that met a fault too; health and control do not count.
func (s *System) Requests() int { return s.Counts().Requests }

// WaitRequests returns once n requests have arrived, whether or not they are answered, or when ctx ends.
func (s *System) WaitRequests(ctx context.Context, n int) error {
	for {
		s.journal.mu.Lock()
		got, arrived := s.journal.totals.Requests, s.journal.arrived
		s.journal.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d requests to %s, %d arrived: %w", n, s.Name, got, ctx.Err())
		}
	}
}

// SideEffects counts what was really done: orders taken, messages sent.
func (s *System) SideEffects() int { return s.Counts().SideEffects }

// SideEffectsOf counts what was done for one business id: more than 1 is an order taken twice.
func (s *System) SideEffectsOf(id string) int { return s.Counts().PerID[id] }

// Records returns the latest requests in the order of their arrival, at least the last 10,000.
func (s *System) Records() []Record {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	out := make([]Record, len(s.journal.records))
	for i, r := range s.journal.records {
		out[i] = *r
	}
	return out
}

// Keys returns the idempotency key of each of Records, "" where there was none.
func (s *System) Keys() []string {
	return column(s, func(r Record) string { return r.Key })
}

// Signatures returns the signature of each of Records, "" where there was none.
func (s *System) Signatures() []string {
	return column(s, func(r Record) string { return r.Signature })
}

func column(s *System, f func(Record) string) []string {
	var out []string
	for _, r := range s.Records() {
		out = append(out, f(r))
	}
	return out
}
