package dlq

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// run forwards until ctx ends.
func (f *Forwarder) run(ctx context.Context) {
	defer close(f.done)
	for failures := 0; ctx.Err() == nil; {
		flushing := f.takeWaiting() // they want what is kept by now
		ready := f.outbox.OutboxReady()
		drained, err := f.step(ctx)
		f.note(ctx, err)
		switch {
		case err != nil:
			f.giveBackWaiting(flushing)
			if f.pause(ctx, failures) {
				failures = 0 // somebody is in a hurry
			} else {
				failures++
			}
			continue
		case drained:
			for _, flushed := range flushing {
				close(flushed)
			}
			select {
			case <-ctx.Done():
			case <-ready:
			case <-f.wake:
			}
		default:
			f.giveBackWaiting(flushing)
		}
		failures = 0
	}
}

// step forwards one batch. drained reports that there was none.
func (f *Forwarder) step(ctx context.Context) (drained bool, err error) {
	if err := f.mark(ctx); err != nil {
		return false, err
	}
	batch, err := f.next()
	if err != nil {
		return false, err
	}
	f.setOldest(batch)
	if len(batch) == 0 {
		return true, nil
	}
	refused, err := f.send(ctx, batch)
	if err != nil {
		return false, err
	}
	for _, o := range batch {
		if !slices.Contains(refused, o.Letter.ID) {
			f.unmarked = append(f.unmarked, o.Seq)
		}
	}
	f.after = batch[len(batch)-1].Seq
	return false, f.mark(ctx)
}

// mark tells the spool what the sink has acknowledged. It is finished also when the forwarder is closed meanwhile: what
// is not marked is sent again.
func (f *Forwarder) mark(ctx context.Context) error {
	if len(f.unmarked) == 0 {
		return nil
	}
	if err := f.outbox.Forwarded(context.WithoutCancel(ctx), f.unmarked); err != nil {
		return err
	}
	f.count(len(f.unmarked))
	f.unmarked = nil
	return nil
}

// next reads the next batch. It asks for as many letters as would have filled the last one, because those it reads and
// does not send are read again.
func (f *Forwarder) next() ([]Outgoing, error) {
	batch, err := f.outbox.Outbox(f.after, f.limit)
	size := 0
	for i, o := range batch {
		size += len(o.Letter.OriginalMessage.Body)
		if size > f.config.MaxBytes {
			f.limit = max(i, 1)
			return batch[:f.limit], err
		}
	}
	if len(batch) == f.limit {
		f.limit = min(2*f.limit, f.config.MaxLetters)
	}
	return batch, err
}

// send hands a batch to the sink and returns the letters it refused.
func (f *Forwarder) send(ctx context.Context, batch []Outgoing) (refused []string, err error) {
	letters := make([]*Letter, len(batch))
	for i, o := range batch {
		letters[i] = o.Letter
	}
	err = f.config.Sink.Send(ctx, letters)
	var refusal *RefusedError
	if !errors.As(err, &refusal) {
		return nil, err
	}
	for _, r := range refusal.Letters {
		f.refuse(r)
		refused = append(refused, r.LetterID)
	}
	return refused, nil
}

// pause waits after a failure: twice as long each time, and no two sidecars in step. It reports whether somebody wanted
// it to end early.
func (f *Forwarder) pause(ctx context.Context, failures int) (hurried bool) {
	longest := f.config.MaxDelay
	if failures < 16 {
		longest = min(f.config.MinDelay<<failures, longest)
	}
	timer := time.NewTimer(longest/2 + rand.N(longest/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-f.wake:
		return true
	}
	return false
}

func (f *Forwarder) takeWaiting() []chan<- struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.waiting
	f.waiting = nil
	return list
}

func (f *Forwarder) giveBackWaiting(list []chan<- struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(list, f.waiting...)
}
