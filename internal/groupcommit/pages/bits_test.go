package pages

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// TestNoBitOfAHeaderTakesEntriesAwayUnnoticed flips the bits of all headers: of each page of a tree, of the elements of
// branches and of the buckets, and of the list of free pages every one; of first pages and of the elements of other
// leaves, which are many and alike, some. The check says so or what can be read has
// not changed, but for the last value of a page, whose length nothing else tells: whoever wrote it knows. And in
// either case all that does not lie in the damaged page is still found.
func TestNoBitOfAHeaderTakesEntriesAwayUnnoticed(t *testing.T) {
	image := shaped(t)
	whole := Open(bytes.NewReader(image), int64(len(image)))
	if _, err := whole.Check(); err != nil {
		t.Fatal(err)
	}
	want := placesOf(t, image)
	said, flips := 0, 0
	for _, h := range headersOf(t, image) {
		for bit := h.at % h.step; bit < h.size*8; bit += h.step {
			at := h.at + bit/8
			image[at] ^= 1 << (bit % 8)
			flips++
			page := uint64(at / whole.pageSize)
			if checked := flipped(t, image, want, page); checked != nil {
				said++
			}
			if t.Failed() {
				t.Fatalf("bit %d of the byte at %d, page %d", bit%8, at, page)
			}
			image[at] ^= 1 << (bit % 8)
		}
	}
	t.Logf("%d bits of %d pages, %d of them said", flips, whole.meta.pages, said)
}

// flipped compares what is found in a damaged file with what was there.
func flipped(t *testing.T, image []byte, want map[string]uint64, page uint64) (said error) {
	t.Helper()
	f := Open(bytes.NewReader(image), int64(len(image)))
	_, said = f.Check()
	found, named := make(map[string]bool), 0
	must(t, f.Each(func(bucket string, key, value []byte) error {
		if entry := string(key) + "=" + string(value); want[entry] != 0 {
			if !found[entry] && bucket != "" {
				named++
			}
			found[entry] = true
		}
		return nil
	}))
	for entry, lies := range want {
		if !found[entry] && lies != page {
			t.Errorf("the damage of page %d lost %.20q of page %d", page, entry, lies)
		}
	}
	if said == nil && named < len(want)-1 {
		t.Errorf("%d entries of %d, and nothing said", named, len(want))
	}
	return said
}

// shaped writes a small file with all that there is: small and large buckets, branches, long values, free pages.
func shaped(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, PageSize: 1024})
	must(t, err)
	for round := range 3 {
		must(t, db.Update(func(tx *bbolt.Tx) error {
			for name, n := range map[string]int{"a": 2, "b": 20, "c": 0, "d": 36, "e": 20} {
				b, err := tx.CreateBucketIfNotExists([]byte(name))
				must(t, err)
				for i := round; i < n; i += 3 {
					key := fmt.Sprintf("%s%04d", name, i)
					must(t, b.Put([]byte(key), bytes.Repeat([]byte(key), 1+i*i%17*(1+i%20/19*60))))
				}
			}
			return nil
		}))
	}
	must(t, db.Close())
	image, err := os.ReadFile(path)
	must(t, err)
	return image
}

// placesOf tells in which page each entry lies.
func placesOf(t *testing.T, image []byte) map[string]uint64 {
	t.Helper()
	places := make(map[string]uint64)
	eachNode(t, image, func(n *node, start int64) {
		for _, e := range n.elements {
			if n.kind == kindLeaf && !e.bucket {
				value := image[e.value.at : e.value.at+e.value.size]
				places[string(e.key)+"="+string(value)] = uint64(start / 1024)
			}
		}
	})
	if len(places) != 78 {
		t.Fatalf("%d entries", len(places))
	}
	return places
}

// A header is a range of bytes of which every step-th bit is flipped.
type header struct{ at, size, step int64 }

func headersOf(t *testing.T, image []byte) []header {
	t.Helper()
	const some = 37
	headers := []header{{0, pageHeader + metaBytes, some}, {1024, pageHeader + metaBytes, some}}
	eachNode(t, image, func(n *node, start int64) {
		headers = append(headers, header{start, pageHeader, 1})
		size, step := int64(n.count*elementHeader), int64(some)
		if n.kind == kindFreelist {
			size = int64(n.count * 8)
		}
		if n.kind != kindLeaf {
			step = 1
		}
		for _, e := range n.elements {
			if e.bucket {
				headers, step = append(headers, header{e.value.at, 8, 1}), 1 // where its root is
			}
		}
		headers = append(headers, header{start + pageHeader, size, step})
	})
	return headers
}

// eachNode walks the nodes in use.
func eachNode(t *testing.T, image []byte, visit func(n *node, start int64)) {
	t.Helper()
	f := Open(bytes.NewReader(image), int64(len(image)))
	var walk func(id uint64)
	walk = func(id uint64) {
		n, err := f.node(id, true)
		must(t, err)
		visit(n, int64(id)*f.pageSize)
		for _, e := range n.elements {
			switch {
			case n.kind == kindBranch:
				walk(e.child)
			case e.bucket:
				root, inline, err := f.inner(e, true)
				must(t, err)
				if inline == nil {
					walk(root)
				} else {
					visit(inline, e.value.at+bucketHeader)
				}
			}
		}
	}
	walk(f.meta.root)
	walk(f.meta.freelist)
}
