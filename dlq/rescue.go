package dlq

import (
	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/pages"
)

// A rescuer copies letters from a damaged file. Everything is judged by its own checksum or shape, not by where it was
// found: one damaged bit can give a bucket another name, or hang the pages of one into another.
type rescuer struct {
	to   *bbolt.DB
	todo []rescued
	held int
}

type rescued struct {
	bucket     []byte
	key, value []byte
	headless   bool // it matters only when the letter has no head
}

// rescue copies heads first, then the bodies that belong to them, and sets aside what is left of letters without a
// head. It returns how many letters there are, and how many are set aside, also those that were before.
func rescue(from *pages.File, to *bbolt.DB) (letters, aside int, err error) {
	if err := to.Update(createBuckets); err != nil {
		return 0, 0, err
	}
	r := &rescuer{to: to}
	for _, visit := range []func(bucket string, key, value []byte) error{r.visitHead, r.visitBody, r.visitLost} {
		if err := from.Each(visit); err != nil {
			return 0, 0, err
		}
		if err := r.flush(); err != nil {
			return 0, 0, err
		}
	}
	err = to.Update(func(tx *bbolt.Tx) error {
		letters, aside = count(tx.Bucket(bucketHeads())), countQuarantined(tx)
		return raiseSequence(tx)
	})
	return letters, aside, err
}

func (r *rescuer) visitHead(bucket string, key, value []byte) error {
	if !known([]byte(bucket)) {
		bucket = ""
	}
	named := bucket == string(bucketHeads())
	switch _, ok := decodeSummary(key, value); {
	case isQuarantined(key):
		return r.add(rescued{bucket: bucketQuarantine(), key: key, value: value})
	case ok && (named || bucket == "" || value[0] == encodingVersion): // a body of an application may look like version 1
		return r.add(rescued{bucket: bucketHeads(), key: key, value: value})
	case named && validID(key):
		return r.add(rescued{bucket: bucketQuarantine(), key: quarantinedHead(key), value: value})
	case sequence(key) != 0 && validID(outboxID(value)) && bucket != string(bucketBodies()):
		return r.add(rescued{bucket: bucketOutbox(), key: key, value: value})
	}
	return nil
}

func (r *rescuer) visitBody(_ string, key, value []byte) error {
	if !validID(key) || len(value) == 0 {
		return nil
	}
	return r.add(rescued{bucket: bucketBodies(), key: key, value: value})
}

// visitLost looks for letters whose head was not found: their bodies and the indexes still know of them. What lies in
// pages that nothing leads to proves nothing, it may be of a letter that was removed.
func (r *rescuer) visitLost(bucket string, key, value []byte) error {
	if !validID(key) {
		return nil
	}
	switch bucket {
	case string(bucketBodies()):
		body := rescued{bucket: bucketQuarantine(), key: quarantinedBody(key), value: value, headless: true}
		if err := r.add(body); err != nil {
			return err
		}
	case string(bucketOpen()), string(bucketClosed()):
	default:
		return nil
	}
	return r.add(rescued{bucket: bucketQuarantine(), key: quarantinedHead(key), headless: true})
}

func validID(key []byte) bool { return len(key) > 0 && len(key) <= maxIDBytes && !isQuarantined(key) }

func (r *rescuer) add(e rescued) error {
	r.todo = append(r.todo, e)
	r.held += len(e.key) + len(e.value)
	if r.held < 1<<20 {
		return nil
	}
	return r.flush()
}

func (r *rescuer) flush() error {
	err := r.to.Update(func(tx *bbolt.Tx) error {
		for _, e := range r.todo {
			if better(tx, e) {
				if err := tx.Bucket(e.bucket).Put(e.key, e.value); err != nil {
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
func better(tx *bbolt.Tx, e rescued) bool {
	present := tx.Bucket(e.bucket).Get(e.key)
	switch string(e.bucket) {
	case string(bucketHeads()):
		former, ok := decodeSummary(e.key, present)
		offered, _ := decodeSummary(e.key, e.value)
		return !ok || progress(offered.state) > progress(former.state)
	case string(bucketBodies()):
		s, ok := decodeSummary(e.key, tx.Bucket(bucketHeads()).Get(e.key))
		return ok && int64(len(e.value)) == s.bodySize && checksum(e.value) == s.bodySum
	}
	return present == nil && (!e.headless || tx.Bucket(bucketHeads()).Get(quarantinedID(e.key)) == nil)
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
