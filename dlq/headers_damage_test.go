package dlq

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

const pageSize = 4096

// TestABitOfAHeaderLosesNoLetterUnsaid flips bits of the headers of the pages that lead to letters, of their elements, of
// the list of free pages and of some leaves: the sidecar starts, every letter is there or said to be lost, and only
// letters of the damaged page are lost. The bits are every so many of all, TestNoBitOfAHeader… of the package that finds
// the damage flips the others.
func TestABitOfAHeaderLosesNoLetterUnsaid(t *testing.T) {
	ids, image := fileOf(t, 120)
	bits := headerBits(image)
	step := max(1, len(bits)/40)
	for i := 0; i < len(bits); i += step {
		damaged := bytes.Clone(image)
		damaged[bits[i]/8] ^= 1 << (bits[i] % 8)
		checkFlipped(t, damaged, ids, bits[i]/8/pageSize)
		if t.Failed() {
			t.Fatalf("bit %d of byte %d of page %d; %s", bits[i]%8, bits[i]/8%pageSize, bits[i]/8/pageSize, keep(t, image))
		}
	}
	t.Logf("%d of %d bits", len(bits)/step, len(bits))
}

// headerBits are those of all headers in use but of the leaves only some.
func headerBits(image []byte) (bits []int) {
	leaves := 0
	for page := range len(image) / pageSize {
		head := image[page*pageSize:]
		kind, count := binary.NativeEndian.Uint16(head[8:]), int(binary.NativeEndian.Uint16(head[10:]))
		size := 16 + 16*count
		switch {
		case page < 2:
			size = 80
		case binary.NativeEndian.Uint64(head) != uint64(page):
			continue
		case kind == 2 && !naming(head):
			if leaves++; leaves%8 != 0 {
				continue
			}
		case kind == 16:
			size = 16 + 8*count
		}
		for bit := range size * 8 {
			bits = append(bits, page*pageSize*8+bit)
		}
	}
	return bits
}

// naming reports whether the page is the leaf with the names of the buckets.
func naming(page []byte) bool { return bytes.Contains(page[:pageSize], []byte("quarantine")) }

func checkFlipped(t *testing.T, damaged []byte, ids []string, page int) {
	t.Helper()
	s := reopen(t, damaged)
	defer s.Close()
	var missing []string
	for _, id := range ids {
		if l, err := s.Get(id); err != nil || l.OriginalMessage.Whole() != nil {
			missing = append(missing, id)
		}
	}
	head := damaged[page*pageSize:]
	for _, id := range missing {
		if !quarantined(t, s, id) {
			t.Errorf("letter %s is lost and nobody is told: %q", id, s.Stats().Damaged)
		}
		if run := head[:min(len(head), 3*pageSize)]; page < 2 || head[8]&1 != 0 || naming(head) || !bytes.Contains(run, []byte(id)) {
			t.Errorf("letter %s is lost, which was elsewhere: %q", id, s.Stats().Damaged)
		}
	}
	if got := s.Stats(); got.Damaged != "" {
		checkAside(t, s, damaged)
	}
}

func quarantined(t testing.TB, s *Spool, id string) (found bool) {
	t.Helper()
	must(t, s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketQuarantine()).ForEach(func(key, _ []byte) error {
			found = found || string(key) == string(quarantinedHead([]byte(id)))
			return nil
		})
	}))
	return found
}

// keep writes a file whose damage did harm where go test -artifacts leaves it: bbolt lays pages at random.
func keep(t testing.TB, image []byte) string {
	path := filepath.Join(t.ArtifactDir(), strings.ReplaceAll(t.Name(), "/", "_")+".db")
	must(t, os.WriteFile(path, image, 0o600))
	return "the file is " + path
}

func TestOfALetterWithoutItsHeadSomebodyIsTold(t *testing.T) {
	for _, state := range []State{Dead, Discarded} {
		s := openSpool(t, Config{Outbox: true})
		good, bad := letter("good"), letter("bad")
		put(t, s, good, bad)
		if state == Discarded {
			must(t, s.Discard(t.Context(), bad.ID, "me"))
		}
		must(t, s.db.Do(t.Context(), func(tx *bbolt.Tx) error { return tx.Bucket(bucketHeads()).Delete([]byte(bad.ID)) }))
		must(t, s.Close())
		s = openSpool(t, s.config)
		if got := s.Stats(); got.Quarantined != 1 || got.ByState[Dead] != 1 || got.Outbox != 1 || !quarantined(t, s, bad.ID) {
			t.Errorf("%s: %+v", state, got)
		}
		must(t, s.db.View(func(tx *bbolt.Tx) error {
			if tx.Bucket(bucketBodies()).Get([]byte(bad.ID)) != nil || tx.Bucket(bucketQuarantine()).Get(quarantinedBody([]byte(bad.ID))) == nil {
				t.Errorf("%s: its body is not in quarantine", state)
			}
			return nil
		}))
	}
}

func TestADamagedNameOfABucketForgetsNoLetter(t *testing.T) {
	ids, image := fileOf(t, 120)
	for _, bucket := range buckets() {
		for bit := range 8 * len(bucket) {
			if bit%40 != 0 {
				continue
			}
			damaged, wrong := bytes.Clone(image), bytes.Clone(bucket)
			wrong[bit/8] ^= 1 << (bit % 8)
			for page := range len(image) / pageSize {
				if at := damaged[page*pageSize : (page+1)*pageSize]; naming(at) {
					copy(at, bytes.Replace(at, bucket, wrong, 1))
				}
			}
			s := reopen(t, damaged)
			if got := s.Stats(); got.Damaged == "" || got.Quarantined != 0 {
				t.Errorf("%s for %s: %+v", wrong, bucket, got)
			}
			if n := useAll(t, s, ids); n != len(ids) {
				t.Errorf("%s for %s: %d of %d letters", wrong, bucket, n, len(ids))
			}
			must(t, s.Close())
		}
	}
}

// TestBodiesThatLeadToTheHeads: heads that were met in the tree of the bodies were taken for bodies, and not one letter
// was found. A number of elements that is too large does the same, as those of the pages that follow are read.
func TestBodiesThatLeadToTheHeads(t *testing.T) {
	ids, image := fileOf(t, 120)
	heads, bodies := rootOf(t, image, bucketHeads()), rootOf(t, image, bucketBodies())
	for name, damage := range map[string]func(branch []byte){
		"first child": func(branch []byte) { binary.NativeEndian.PutUint64(branch[16+8:], heads) },
		"count":       func(branch []byte) { branch[11] ^= 1 << 6 },
	} {
		damaged := bytes.Clone(image)
		branch := damaged[bodies*pageSize:]
		if branch[8] != 1 {
			t.Fatal("the bodies have no branch")
		}
		damage(branch)
		s := reopen(t, damaged)
		if got := s.Stats(); got.Damaged == "" || got.Quarantined != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if n := useAll(t, s, ids); n != len(ids) {
			t.Errorf("%s: %d of %d letters: %s", name, n, len(ids), s.Stats().Damaged)
		}
	}
}

// rootOf is the page of a bucket's root.
func rootOf(t testing.TB, image []byte, bucket []byte) (root uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	must(t, os.WriteFile(path, image, 0o600))
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	defer db.Close()
	must(t, db.View(func(tx *bbolt.Tx) error { root = uint64(tx.Bucket(bucket).Root()); return nil }))
	return root
}
