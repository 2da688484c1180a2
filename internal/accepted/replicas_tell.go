package accepted

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

const (
	tellTogether = 128     // exchanges of one round trip, at most
	tellBytes    = 4 << 20 // and of their bodies, about
)

// Holding is what Redis says of an exchange that is about to be sent.
type Holding int

// The answers of Hold.
const (
	Held   Holding = iota // it is ours, and the others know that it is under way
	Lost                  // another sidecar took it over
	Silent                // nobody can tell now
)

// Hold makes sure, after Start and before anything is sent, that no other sidecar took the exchange over, and that one
// that does so from now on knows that it may have been sent.
func (s *Store) Hold(ctx context.Context, c *Claim) Holding {
	r := s.replicas
	if r == nil || c.entry.large {
		return Held
	}
	r.mu.Lock()
	first := c.entry.copy == notCopied // so nobody else can know of it
	r.mu.Unlock()
	if r.registered() {
		for _, whole := range []bool{false, true} {
			call, ok := r.callTell(c.ID, whole)
			if !ok {
				break
			}
			reply, err := r.Client.Run(ctx, call.Script, call.Key, call.Args...)
			switch {
			case err != nil:
			case reply == "told":
				return Held
			case reply == "lost":
				return Lost
			case reply == "body":
				continue
			}
			break
		}
	}
	if first {
		return Held
	}
	return Silent
}

// callTell writes an exchange as it is on disk; whole with its body.
func (r *replicas) callTell(id string, whole bool) (call shared.Call, ok bool) {
	_ = r.store.db.View(func(tx *bbolt.Tx) error {
		call, ok = r.callTellOf(tx, id, whole)
		return nil
	})
	return call, ok
}

func (r *replicas) callTellOf(tx *bbolt.Tx, id string, whole bool) (call shared.Call, ok bool) {
	value := tx.Bucket(bucketHeads()).Get([]byte(id))
	found, err := decodeRecord(value)
	if err != nil {
		return call, false
	}
	now, state, life := r.store.config.Now(), "open", 24*time.Hour
	body, answer, has := []byte{}, []byte{}, "0"
	if found.Result != nil {
		state, life = "ended", found.Result.Expires.Sub(now)
		if answer = bytes.Clone(tx.Bucket(bucketAnswers()).Get([]byte(id))); len(answer) > r.MaxAnswer {
			answer = nil // who reads it finds that it is not the one
		}
	} else {
		life += max(0, found.Until.Sub(now)) + found.TTL
		if found.Body.Size > 0 {
			has = "1"
		}
		if whole {
			body = bytes.Clone(tx.Bucket(bucketBodies()).Get([]byte(id)))
		}
	}
	return shared.Call{Script: r.scripts.tell, Key: r.exchange(id), Args: []any{r.me, found.Turn, state, max(1, life.Milliseconds()), bytes.Clone(value), has, body, answer}}, true
}

// A told is one exchange on its way to Redis; of one that has ended there is no entry.
type told struct {
	id      string
	entry   *entry
	changes uint64
	whole   bool
	size    int
}

// tellAll tells Redis what it does not know, in the order in which the exchanges were accepted, until that is all, or
// something fails: then it is tried again with the next sign of life.
func (r *replicas) tellAll(ctx context.Context) {
	for ctx.Err() == nil && r.Client.Up() && r.registered() {
		batch := r.pick()
		if len(batch) == 0 || !r.tell(ctx, batch) {
			return
		}
	}
}

// pick chooses what is told next. Of those with one order key none is copied before the ones in front of it.
func (r *replicas) pick() (batch []told) {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*entry, 0, len(r.pending))
	for _, e := range r.pending {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.sequence, b.sequence) })
	going, size := map[*entry]bool{}, 0
	for _, e := range list {
		if len(batch) >= tellTogether || size > tellBytes {
			break
		}
		whole := e.copy != copied
		if before := e.before(); whole && before != nil && before.copy != copied && !going[before] {
			continue
		}
		if whole {
			e.copy = maybeCopied
			size += e.size
		}
		going[e] = true
		batch = append(batch, told{e.id, e, e.changes, whole, e.size})
	}
	for id := range r.ended {
		if len(batch) >= tellTogether {
			break
		}
		batch = append(batch, told{id: id})
	}
	return batch
}

// tell is one round trip: what is owned, then each exchange.
func (r *replicas) tell(ctx context.Context, batch []told) (ok bool) {
	var calls []shared.Call
	var sent, unread []told
	err := r.store.db.View(func(tx *bbolt.Tx) error {
		for _, t := range batch {
			if call, ok := r.callTellOf(tx, t.id, t.whole); ok {
				calls, sent = append(calls, call), append(sent, t)
			} else {
				unread = append(unread, t)
			}
		}
		return nil
	})
	if err != nil {
		return false
	}
	r.skip(unread)
	replies := r.Client.RunAllBehind(ctx, append([]shared.Call{r.callIndex(sent)}, calls...))
	indexed, done := replies[0].Err == nil, 0
	for i, t := range sent {
		reply, _ := replies[i+1].Value.(string)
		if replies[i+1].Err == nil && r.settle(t, reply, indexed) {
			done++
		}
	}
	return done > 0 || len(sent) == 0
}

// skip gives up telling of exchanges that cannot be read: damaged ones are set aside when they are to be sent.
func (r *replicas) skip(unread []told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range unread {
		delete(r.pending, t.id)
		delete(r.ended, t.id)
	}
}

func (r *replicas) callIndex(sent []told) shared.Call {
	args := []any{memory.Milliseconds(), 0}
	n := 0
	for _, t := range sent {
		if t.whole {
			args = append(args, t.id, note(t.entry.sequence, t.size))
			n++
		}
	}
	args[1] = n
	for _, t := range sent {
		if t.entry == nil {
			args = append(args, t.id)
		}
	}
	return shared.Call{Script: r.scripts.index, Key: r.owned(r.me), Args: args}
}

func note(sequence uint64, size int) string { return fmt.Sprintf("%d %d", sequence, size) }

// settle notes what Redis answered, and reports whether that was the end of it.
func (r *replicas) settle(t told, reply string, indexed bool) bool {
	r.mu.Lock()
	if t.entry == nil {
		if indexed {
			delete(r.ended, t.id)
		}
		r.mu.Unlock()
		return indexed
	}
	e := t.entry
	switch reply {
	case "body": // Redis forgot it
		e.copy = maybeCopied
		r.mu.Unlock()
		return true
	case "told", "late":
		if !indexed {
			break
		}
		if t.whole {
			e.copy = copied
		}
		if e.arrived != nil && e.copy == copied {
			close(e.arrived)
			e.arrived = nil
		}
		if e.changes == t.changes {
			delete(r.pending, t.id)
		}
	case "lost":
		delete(r.pending, t.id)
		r.mu.Unlock()
		r.store.dropIdle(t.id)
		return true
	}
	r.mu.Unlock()
	return indexed
}
