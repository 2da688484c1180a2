package groupcommit

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// TestModelOfTheJournalUnderCrashes compares the store with a map, over crashes that leave any of the sectors of the
// last write and over starts that crash again.
func TestModelOfTheJournalUnderCrashes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		db, _, _ := openJournaled(t, dir, apply)
		want, n := map[string]int{}, 0
		check := func(torn string) {
			for key, count := range want {
				if got := times(t, db, key); got != count {
					r.Fatalf("%s is there %d times, want %d", key, got, count)
				}
			}
			if torn != "" { // it was never acknowledged
				if got := times(t, db, torn); got > 1 {
					r.Fatalf("%s is there %d times", torn, got)
				} else if got == 1 {
					want[torn] = 1
				}
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				n++
				key := fmt.Sprint("k", n)
				add(t, db, key)
				want[key] = 1
			},
			"delete": func(r *rapid.T) {
				for key := range maps.Keys(want) {
					must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete([]byte(key)) }))
					want[key] = 0
					return
				}
			},
			"view":   func(*rapid.T) { check("") },
			"reopen": func(*rapid.T) { must(t, db.Close()); db, _, _ = openJournaled(t, dir, apply) },
			"crash": func(r *rapid.T) {
				to := crashed(t, dir)
				n++
				torn := fmt.Sprint("k", n)
				add(t, db, torn)
				mix(t, r, filepath.Join(dir, "x.journal"), filepath.Join(to, "x.journal"))
				must(t, db.Close())
				dir = to
				missing := 0
				if db, _, missing = openJournaled(t, dir, apply); missing != 0 {
					r.Fatalf("%d missing", missing)
				}
				check(torn)
			},
		})
		must(t, db.Close())
	})
}

// mix copies some sectors of one file to the other.
func mix(t *testing.T, r *rapid.T, from, to string) {
	t.Helper()
	after, err := os.ReadFile(from)
	must(t, err)
	before, err := os.ReadFile(to)
	must(t, err)
	for at := 0; at < len(before); at += 512 {
		if string(before[at:at+512]) != string(after[at:at+512]) && rapid.Bool().Draw(r, "written") {
			copy(before[at:at+512], after[at:at+512])
		}
	}
	must(t, os.WriteFile(to, before, 0o600))
}
