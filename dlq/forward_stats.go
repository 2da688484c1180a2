package dlq

import (
	"context"
	"time"
)

// ForwarderStats says how forwarding goes. Counts are of this process.
type ForwarderStats struct {
	Forwarded    uint64        // letters that the sink has acknowledged and the spool has marked
	Failures     uint64        // batches that could not be sent, or not be marked
	Refused      uint64        // letters that the sink will never take
	LastError    error         // of the last failure or refusal; nil: there was none
	FailingSince time.Time     // of the first failure in a row; zero: the last batch was sent
	Lag          time.Duration // age of the oldest letter, or change of one, that waits; 0: nothing waits
}

// Stats returns how forwarding goes now. It is cheap: it reads no disk.
func (f *Forwarder) Stats() ForwarderStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	if !f.oldest.IsZero() {
		s.Lag = max(time.Since(f.oldest), 0)
	}
	return s
}

// note keeps what came of a step, and tells when that is another thing than before.
func (f *Forwarder) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // closed in mid-step: that says nothing of the sink
	}
	f.mu.Lock()
	wasUp := f.stats.FailingSince.IsZero()
	if err == nil {
		f.stats.FailingSince = time.Time{}
	} else {
		f.stats.Failures++
		f.stats.LastError = err
		if wasUp {
			f.stats.FailingSince = time.Now()
		}
	}
	f.mu.Unlock()
	if up := err == nil; up != wasUp && f.config.Changed != nil {
		f.config.Changed(up, err)
	}
}

func (f *Forwarder) count(forwarded int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Forwarded += uint64(forwarded)
}

func (f *Forwarder) refuse(r Refusal) {
	f.mu.Lock()
	f.stats.Refused++
	f.stats.LastError = &RefusedError{Letters: []Refusal{r}}
	f.mu.Unlock()
	if f.config.Refused != nil {
		f.config.Refused(r.LetterID, r.Err)
	}
}

// setOldest keeps when the first entry of a batch was made: when its letter was, or when that last changed.
func (f *Forwarder) setOldest(batch []Outgoing) {
	var oldest time.Time
	if len(batch) > 0 {
		l := batch[0].Letter
		oldest = l.Metadata.Created
		if n := len(l.Audit); n > 0 {
			oldest = l.Audit[n-1].Time
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.oldest = oldest
}
