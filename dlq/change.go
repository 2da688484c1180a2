package dlq

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// Update lets edit change a letter, body included, and keeps the result. ErrNotFound when there is no such letter. An
// error of edit is returned as it is and nothing is changed; so is a change of the id, which is refused. edit may run
// more than once, each time on a fresh copy, must be quick, and must not use the spool: all who write wait for it. A
// letter found damaged is moved aside, and not found. An update may take the spool slightly past MaxBytes.
func (s *Spool) Update(ctx context.Context, id string, edit func(*Letter) error) error {
	err := s.change(ctx, func(t *transaction) (verdict, err error) {
		return t.update([]byte(id), edit, true)
	})
	if !errors.Is(err, errDamaged) {
		return err
	}
	if err := s.quarantine(ctx, []byte(id)); err != nil {
		return err
	}
	return ErrNotFound
}

// Discard marks an open letter as not needed any more; who is written to its audit. ErrNotFound when there is none. A
// letter that is closed already stays as it is.
func (s *Spool) Discard(ctx context.Context, id, who string) error {
	return s.change(ctx, func(t *transaction) (verdict, err error) {
		return t.update([]byte(id), s.closing(Discarded, who, "discard"), false)
	})
}

// ResolveScope marks every open letter of a key's scope as resolved and returns how many; who is written to their
// audit. It is nearly free when there are none.
func (s *Spool) ResolveScope(ctx context.Context, scope, who string) (n int, err error) {
	if scope == "" || !s.tally.mayHaveScope(scope) {
		return 0, nil
	}
	err = s.change(ctx, func(t *transaction) (verdict, err error) {
		n, err = t.resolve(scope, s.closing(Resolved, who, "resolve"))
		return nil, err
	})
	if err != nil {
		n = 0
	}
	return n, err
}

// closing edits an open letter to its last state.
func (s *Spool) closing(state State, who, action string) func(*Letter) error {
	row := Audit{Time: s.config.Now(), Who: who, Action: action, Outcome: string(state)}
	return func(l *Letter) error {
		if l.State.Open() {
			l.State = state
			l.Audit = append(l.Audit, row)
		}
		return nil
	}
}

// change runs one operation. A verdict is what the caller is told although the disk did its part; nothing may have
// been written then.
func (s *Spool) change(ctx context.Context, op func(*transaction) (verdict, err error)) error {
	var change change
	var verdict error
	err := s.db.Do(ctx, func(tx *bbolt.Tx) (err error) {
		t := begin(tx)
		if verdict, err = op(t); err != nil {
			return err
		}
		change = t.change
		return t.account()
	})
	if err != nil {
		return fmt.Errorf("change a letter in the spool: %w", err)
	}
	s.tally.apply(change)
	return verdict
}

// update edits one letter. Without withBody edit sees none, and the body on disk stays.
func (t *transaction) update(id []byte, edit func(*Letter) error, withBody bool) (verdict, err error) {
	head := t.letters.Get(id)
	former, _, ok := decodeSummary(id, head)
	if !ok {
		return ErrNotFound, nil
	}
	l, damage := decodeLetter(id, head, t.bodies.Get(id), withBody)
	if damage != nil {
		return damage, nil
	}
	if err := edit(l); err != nil {
		return err, nil
	}
	if l.ID != string(id) {
		return errors.New("a letter's id cannot be changed"), nil
	}
	body := l.OriginalMessage.Body
	size, sum := former.bodySize, former.bodySum
	if withBody {
		size, sum = int64(len(body)), checksum(body)
	}
	changed, err := encodeHead(l, size, sum)
	if err != nil {
		return err, nil
	}
	if bytes.Equal(head, changed) {
		return nil, nil
	}
	w := writing{id: id, head: changed, body: body}
	w.summary, _, _ = decodeSummary(id, changed)
	return nil, t.replace(former, w, sum != former.bodySum || size != former.bodySize)
}

// resolve edits every letter of a scope; entries of letters that are gone are dropped.
func (t *transaction) resolve(scope string, edit func(*Letter) error) (n int, err error) {
	for _, entry := range t.entriesOf(scope) {
		id := entry[len(scopeKey{}):]
		verdict, err := t.update(id, edit, false)
		if err != nil {
			return 0, err
		}
		if verdict == nil {
			n++
		}
		if err := t.scopes.Delete(entry); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// entriesOf copies the entries of a scope: a cursor must not be moved while its bucket changes.
func (t *transaction) entriesOf(scope string) (entries [][]byte) {
	key := keyOfScope(scope)
	cursor := t.scopes.Cursor()
	for entry, _ := cursor.Seek(key[:]); bytes.HasPrefix(entry, key[:]); entry, _ = cursor.Next() {
		entries = append(entries, append([]byte(nil), entry...))
	}
	return entries
}
