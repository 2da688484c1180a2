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
// letter found damaged is moved aside, and not found. An update may take the spool slightly past MaxBytes. ErrSealed
// when edit changes the message of a letter that is sealed with an unknown key; all else of it can be changed.
func (s *Spool) Update(ctx context.Context, id string, edit func(*Letter) error) error {
	err := s.change(ctx, func(t *transaction) (verdict, err error) {
		return t.update([]byte(id), edit, &content{sealer: s.config.Seal})
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
		return t.update([]byte(id), s.closing(Discarded, who, "discard"), nil)
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
	verdict, err := s.do(ctx, 0, op)
	if err != nil {
		return fmt.Errorf("change a letter in the spool: %w", err)
	}
	return verdict
}

// do runs an operation that writes about weight bytes. The tally follows when the commit has succeeded, in the order
// of commits. After one that failed nobody knows what of it is there (its last sync may have failed, not its
// writing), so the letters are counted anew once a commit succeeds.
func (s *Spool) do(ctx context.Context, weight int, op func(*transaction) (verdict, err error)) (verdict, err error) {
	err = s.db.DoWeighed(ctx, weight, func(tx *bbolt.Tx) (err error) {
		t := s.begin(tx)
		if verdict, err = op(t); err != nil {
			return err
		}
		tx.OnCommit(func() { s.committed(t.change) })
		return t.account()
	})
	switch {
	case err == nil:
		s.recountIfDoubtful()
	case ctx.Err() == nil:
		s.doubtful.Store(true)
	}
	return verdict, err
}

func (s *Spool) committed(c change) {
	s.tally.apply(c)
	s.changed()
	if c.queued > 0 {
		s.tellForwarder()
	}
}

// tellForwarder says that there is something to forward.
func (s *Spool) tellForwarder() {
	select {
	case s.ready <- struct{}{}:
	default: // who forwards has been told already
	}
}

// update edits one letter. Without a content edit sees no message, and that on disk stays.
func (t *transaction) update(id []byte, edit func(*Letter) error, c *content) (verdict, err error) {
	value := t.letters.Get(id)
	former, ok := decodeHead(id, value)
	if !ok {
		return ErrNotFound, nil
	}
	l, damage := c.letter(t, id, former)
	if damage != nil {
		return damage, nil
	}
	if err := edit(l); err != nil {
		return err, nil
	}
	if l.ID != string(id) {
		return errors.New("a letter's id cannot be changed"), nil
	}
	w, newBody, err := c.pack(l, former)
	if err != nil {
		return err, nil
	}
	if bytes.Equal(value, w.head) {
		return nil, nil
	}
	w.summary, _ = decodeSummary(id, w.head)
	return nil, t.replace(former.summary, w, newBody)
}

// resolve edits every open letter of a scope.
func (t *transaction) resolve(scope string, edit func(*Letter) error) (n int, err error) {
	for _, id := range t.openOf(scope) {
		verdict, err := t.update(id, edit, nil)
		if err != nil {
			return 0, err
		}
		if verdict == nil {
			n++
		}
	}
	return n, nil
}
