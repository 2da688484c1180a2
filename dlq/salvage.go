package dlq

import (
	"bytes"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
	"github.com/fsm-integrations/sidecar/internal/groupcommit/pages"
)

// salvage replaces a damaged file by one with what can be read of it. damaged says what was wrong and what was done,
// for people; it names the file that was moved aside without its folder.
func salvage(path string, now time.Time, cause error) (damaged string, err error) {
	letters := 0
	aside, err := groupcommit.Salvage(path, now, func(from *pages.File, to *bbolt.DB) (err error) {
		letters, err = rescue(from, to)
		return err
	})
	if aside == "" {
		return "", err
	}
	damaged = fmt.Sprintf("%s was damaged (%s) and is kept as %s", filepath.Base(path), bare(cause), filepath.Base(aside))
	if err != nil {
		return damaged + fmt.Sprintf("; nothing could be read of it: %s", reason(err)), nil
	}
	return damaged + fmt.Sprintf("; %d letters could be read of it", letters), nil
}

// bare takes off what an error of open says before its cause.
func bare(err error) string {
	for _, mark := range []error{groupcommit.ErrDamaged, groupcommit.ErrPanic} {
		if _, cause, ok := bytes.Cut([]byte(err.Error()), []byte(mark.Error()+": ")); ok {
			return string(cause)
		}
	}
	return reason(err)
}

// A rescuer copies letters from a damaged file. Everything is judged by its own checksum, not by where it was found.
type rescuer struct {
	to   *bbolt.DB
	todo []rescued
	held int
}

type rescued struct {
	bucket     []byte
	key, value []byte
}

// rescue copies heads first, then the bodies that belong to them, and returns how many letters there are.
func rescue(from *pages.File, to *bbolt.DB) (letters int, err error) {
	if err := to.Update(createBuckets); err != nil {
		return 0, err
	}
	r := &rescuer{to: to}
	for _, visit := range []func(bucket string, key, value []byte) error{r.visitHead, r.visitBody} {
		if err := from.Each(visit); err != nil {
			return 0, err
		}
		if err := r.flush(); err != nil {
			return 0, err
		}
	}
	err = to.Update(func(tx *bbolt.Tx) error {
		letters = count(tx.Bucket(bucketHeads()))
		outbox := tx.Bucket(bucketOutbox())
		last, _ := outbox.Cursor().Last()
		return outbox.SetSequence(sequence(last))
	})
	return letters, err
}

func (r *rescuer) visitHead(bucket string, key, value []byte) error {
	switch _, ok := decodeSummary(key, value); {
	case ok && (bucket == "" || bucket == string(bucketHeads())):
		return r.add(bucketHeads(), key, value)
	case bucket == string(bucketHeads()) && validID(key):
		return r.add(bucketQuarantine(), append(bytes.Clone(key), "\x00head"...), value)
	case bucket == string(bucketQuarantine()) && len(key) > 0,
		bucket == string(bucketOutbox()) && sequence(key) != 0 && outboxID(value) != nil:
		return r.add([]byte(bucket), key, value)
	}
	return nil
}

func (r *rescuer) visitBody(bucket string, key, value []byte) error {
	if bucket != "" && bucket != string(bucketBodies()) || !validID(key) || len(value) == 0 {
		return nil
	}
	return r.add(bucketBodies(), key, value)
}

func validID(key []byte) bool { return len(key) > 0 && len(key) <= maxIDBytes }

func (r *rescuer) add(bucket, key, value []byte) error {
	r.todo = append(r.todo, rescued{bucket, key, value})
	r.held += len(key) + len(value)
	if r.held < 1<<20 {
		return nil
	}
	return r.flush()
}

func (r *rescuer) flush() error {
	err := r.to.Update(func(tx *bbolt.Tx) error {
		for _, e := range r.todo {
			if b := tx.Bucket(e.bucket); better(tx, b, e) {
				if err := b.Put(e.key, e.value); err != nil {
					return err
				}
			}
		}
		return nil
	})
	r.todo, r.held = r.todo[:0], 0
	return err
}

// better reports whether e should be there rather than what is. Of two heads of a letter the one that is further on
// is the later one; a body must be the one that its head knows.
func better(tx *bbolt.Tx, b *bbolt.Bucket, e rescued) bool {
	present := b.Get(e.key)
	switch string(e.bucket) {
	case string(bucketHeads()):
		former, ok := decodeSummary(e.key, present)
		offered, _ := decodeSummary(e.key, e.value)
		return !ok || progress(offered.state) > progress(former.state)
	case string(bucketBodies()):
		s, ok := decodeSummary(e.key, tx.Bucket(bucketHeads()).Get(e.key))
		return ok && int64(len(e.value)) == s.bodySize && checksum(e.value) == s.bodySum
	}
	return present == nil
}

func progress(s State) int {
	switch s {
	case Dead:
		return 0
	case Forwarded:
		return 1
	}
	return 2
}
