package accepted

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// owned is one exchange in the list of what a sidecar owns.
type owned struct {
	id       string
	sequence uint64
	size     int
}

// adoptTogether is how many exchanges are taken over in one step, at most.
const adoptTogether = 64

// inherit takes the exchanges of a sidecar that is gone, in the order in which it accepted them. Of this sidecar's own
// it finds what its disk does not know, or has ended.
//
// At any moment each exchange is in the list of its owner, so that whoever takes over from us finds it there.
func (r *replicas) inherit(ctx context.Context, former string) error {
	list, err := r.list(ctx, former)
	if err != nil {
		return err
	}
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && n < adoptTogether && (n == 0 || size < tellBytes) {
			size += list[n].size
			n++
		}
		took, err := r.inheritSome(ctx, former, list[:n])
		if took > 0 && r.TookOver != nil {
			r.TookOver(former, took)
		}
		if err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func (r *replicas) list(ctx context.Context, sidecar string) (list []owned, err error) {
	value, err := r.run(ctx, r.scripts.list, r.owned(sidecar))
	if err != nil {
		return nil, err
	}
	parts := texts(value)
	for i := 0; i+1 < len(parts); i += 2 {
		o := owned{id: parts[i]}
		_, _ = fmt.Sscan(parts[i+1], &o.sequence, &o.size) // one that nobody can read is the first
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b owned) int { return cmp.Compare(a.sequence, b.sequence) })
	return list, nil
}

func (r *replicas) inheritSome(ctx context.Context, former string, list []owned) (took int, err error) {
	if former != r.me {
		args := []any{memory.Milliseconds(), len(list)}
		for _, o := range list {
			args = append(args, o.id, note(o.sequence, o.size))
		}
		if _, err := r.run(ctx, r.scripts.index, r.owned(r.me), args...); err != nil {
			return 0, err
		}
	}
	calls := make([]shared.Call, len(list))
	for i, o := range list {
		calls[i] = shared.Call{Script: r.scripts.adopt, Key: r.exchange(o.id), Args: []any{r.me, former}}
	}
	var found []inherited
	gone, foreign := []any{}, []any{}
	for i, reply := range r.Client.RunAllBehind(ctx, calls) {
		if reply.Err != nil {
			return 0, reply.Err
		}
		switch parts := texts(reply.Value); {
		case len(parts) == 3:
			if h, ok := readInherited(list[i].id, parts); ok {
				found = append(found, h)
			}
		default: // forgotten, ended, or another's: it is in that one's list
			foreign = append(foreign, list[i].id)
		}
		gone = append(gone, list[i].id)
	}
	took, err = r.store.adopt(ctx, found)
	if r.took.Add(int64(took)); err != nil {
		return took, err
	}
	return took, r.strike(ctx, former, gone, foreign)
}

// strike removes what was dealt with from the list of the former owner, and what is not ours from our own.
func (r *replicas) strike(ctx context.Context, former string, gone, foreign []any) error {
	if former != r.me {
		if _, err := r.run(ctx, r.scripts.index, r.owned(former), append([]any{memory.Milliseconds(), 0}, gone...)...); err != nil {
			return err
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	_, err := r.run(ctx, r.scripts.index, r.owned(r.me), append([]any{memory.Milliseconds(), 0}, foreign...)...)
	return err
}

// inherited is an exchange as its former owner left it.
type inherited struct {
	id     string
	record *record
	body   []byte
}

// readInherited reads what adopt.lua returns. What is damaged is nobody's: its owner has it on its own disk.
func readInherited(id string, parts []string) (h inherited, ok bool) {
	found, err := decodeRecord([]byte(parts[1]))
	if err != nil || found.Result != nil || digestOf([]byte(parts[2])) != found.Body {
		return h, false
	}
	if found.State == Running { // as if this sidecar had died over it
		found.State, found.Doubtful = Waiting, true
		if found.Since.IsZero() {
			found.Since = found.Updated
		}
	}
	return inherited{id, found, []byte(parts[2])}, true
}

// adoption is what came of several exchanges in one transaction.
type adoption struct {
	fresh []inherited // that are queued now
	ended []string    // that had ended here
	full  bool        // there was no room for all
}

// adopt puts exchanges on this disk, and queues them. ErrFull when there is no room for all.
func (s *Store) adopt(ctx context.Context, list []inherited) (took int, err error) {
	weight := 0
	for _, h := range list {
		weight += len(h.body)
	}
	var a adoption
	err = s.do(ctx, weight, func(t *transaction) error {
		a = adoption{}
		for _, h := range list {
			if err := a.add(t, h, s.config.MaxBytes); err != nil || a.full {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("take over exchanges: %w", err)
	}
	s.replicas.noteEnded(a.ended)
	for _, h := range a.fresh {
		s.enter(newEntry(h.id, h.record), copied)
	}
	if a.full {
		err = ErrFull
	}
	return len(a.fresh), err
}

// add puts one on the disk. Of one that is here already the later state counts, but its end whenever that was.
func (a *adoption) add(t *transaction, h inherited, limit int64) error {
	id := []byte(h.id)
	here, err := read(t.Tx, id)
	switch {
	case err == nil && here.Result != nil:
		if a.ended = append(a.ended, h.id); here.Turn > h.record.Turn {
			return nil
		}
		return t.raise(id, here, h.record.Turn)
	case err == nil && here.Turn >= h.record.Turn:
		return nil
	case err == nil:
		h.record.Sequence = here.Sequence
		return errors.Join(putBody(t.Bucket(bucketBodies()), id, h.body), t.write(id, h.record))
	}
	room, err := t.makeRoom(int64(len(h.body))+maxRecord, limit)
	if a.full = !room; err != nil || a.full {
		return err
	}
	a.fresh = append(a.fresh, h)
	return t.take(id, h.record, h.body)
}

// maxRecord is more than a record needs, as a rule.
const maxRecord = 4 << 10

// take inserts the record of another sidecar. A key that an exchange of ours stands for stays its.
func (t *transaction) take(id []byte, r *record, body []byte) error {
	scope := r.Scope
	if scope != "" && t.Bucket(bucketScopes()).Get([]byte(scope)) != nil {
		r.Scope = ""
	}
	err := t.insert(id, r, body)
	if err == nil && r.Scope != scope {
		r.Scope = scope
		err = t.write(id, r)
	}
	return err
}

// raise gives the end of an exchange a later turn than another state of it.
func (t *transaction) raise(id []byte, r *record, turn uint64) error {
	before := t.sizeOf(id)
	r.Turn = turn + 1
	value, err := r.encode()
	if err != nil {
		return err
	}
	if err := t.Bucket(bucketHeads()).Put(id, value); err != nil {
		return err
	}
	size := t.sizeOf(id)
	t.bytes, t.ended = t.bytes+size-before, t.ended+size-before
	return t.Bucket(bucketExpiries()).Put(expiryKey(r.Result.Expires, id), integer(uint64(size)))
}

// noteEnded has Redis told of ends.
func (r *replicas) noteEnded(ids []string) {
	r.mu.Lock()
	for _, id := range ids {
		r.ended[id] = struct{}{}
	}
	r.mu.Unlock()
	if len(ids) > 0 {
		r.wake()
	}
}
