package groupcommit

import "go.etcd.io/bbolt"

const (
	// trimEvery is how many operations and reads go by between trims. Each may map some pages of 4 KiB anew, and the
	// kernel maps up to 15 neighbours with each: the part of the file that counts as this process's memory stays at
	// some MiB.
	trimEvery = 64
	// trimAbove is the size of file below which there is nothing to gain.
	trimAbove = 4 << 20
)

// used counts n operations or reads and trims when it is time to.
func (db *DB) used(n int) {
	if db.uses.Add(int64(n)) < trimEvery {
		return
	}
	db.uses.Store(0)
	defer func() { _ = recover() }() // as View: bbolt may be closed, or without data
	_ = db.bolt.View(func(tx *bbolt.Tx) error { db.Trim(tx); return nil })
}

// Trim takes the file's pages out of this process's memory; they stay in the system's cache and come back when they
// are read. The mapping would otherwise grow to the size of the file, for good, and count against the pod. It is
// done now and then by itself: call it only in the middle of a long walk, with the walk's transaction.
func (db *DB) Trim(tx *bbolt.Tx) {
	if size := tx.Size(); size > trimAbove {
		forget(db.bolt.Info().Data, uintptr(size))
	}
}
