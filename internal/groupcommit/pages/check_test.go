package pages

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, path string) (int64, error) {
	t.Helper()
	image, err := os.ReadFile(path)
	must(t, err)
	return Open(bytes.NewReader(image), int64(len(image))).Check()
}

// TestWhatBboltWritesIsWhole: whatever is put and deleted, in whatever order, the check has nothing to say.
func TestWhatBboltWritesIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, FreelistType: bbolt.FreelistMapType})
	must(t, err)
	defer db.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 120 {
		must(t, db.Update(func(tx *bbolt.Tx) error { return change(tx, random, round) }))
		used, err := check(t, path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if size := fileSize(t, path); used <= 0 || used > size {
			t.Fatalf("%d of %d bytes used", used, size)
		}
	}
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func change(tx *bbolt.Tx, random *rand.Rand, round int) error {
	b, err := tx.CreateBucketIfNotExists(fmt.Append(nil, "bucket", random.IntN(5)))
	if err != nil {
		return err
	}
	if round%50 == 49 {
		return tx.DeleteBucket(fmt.Append(nil, "bucket", round/50%5))
	}
	growing := round%60 < 40
	for range random.IntN(200) {
		key := fmt.Append(nil, random.IntN(3000))
		if random.IntN(10) < 3 == growing {
			err = b.Delete(key)
		} else {
			err = b.Put(key, make([]byte, random.IntN(10)*random.IntN(1500)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestEachFindsEveryEntryOfAWholeFile(t *testing.T) {
	path, want := filled(t)
	image, err := os.ReadFile(path)
	must(t, err)
	got := make(map[string]string)
	must(t, Open(bytes.NewReader(image), int64(len(image))).Each(func(bucket string, key, value []byte) error {
		if bucket != "" {
			got[bucket+"/"+string(key)] = string(value)
		}
		return nil
	}))
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: %q", key, got[key])
		}
	}
}

// filled writes a file with a small bucket, that lies in another's page, and a large one.
func filled(t testing.TB) (path string, want map[string]string) {
	t.Helper()
	path, want = filepath.Join(t.TempDir(), "x.db"), make(map[string]string)
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		for name, n := range map[string]int{"small": 3, "large": 400, "none": 0} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range n {
				key, value := fmt.Sprintf("%05d", i), string(bytes.Repeat([]byte{byte(i)}, i*11%6000))
				want[name+"/"+key] = value
				if err := b.Put([]byte(key), []byte(value)); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	must(t, db.Close())
	return path, want
}

// FuzzOpen: no bytes make the check or the walk panic or run away.
func FuzzOpen(f *testing.F) {
	path, _ := filled(f)
	image, err := os.ReadFile(path)
	must(f, err)
	image = image[:24<<10]
	f.Add(image, uint32(0), byte(0))
	f.Add(image[:5000], uint32(40), byte(9))
	f.Fuzz(func(t *testing.T, image []byte, at uint32, with byte) {
		if len(image) > 1<<20 {
			return
		}
		if len(image) > 0 {
			image = bytes.Clone(image)
			image[int(at)%len(image)] ^= with
		}
		file := Open(bytes.NewReader(image), int64(len(image)))
		_, _ = file.Check()
		_ = file.Each(func(string, []byte, []byte) error { return nil })
	})
}

// TestATornPageDoesNotMakeTheWalkRunAway: what looks like lengths there points anywhere.
func TestATornPageDoesNotMakeTheWalkRunAway(t *testing.T) {
	path, _ := filled(t)
	image, err := os.ReadFile(path)
	must(t, err)
	image = append(image, make([]byte, 8<<20)...)
	random := rand.New(rand.NewPCG(3, 4))
	for page := 8; page < 400; page++ {
		for i := range 4096 / 4 {
			copy(image[page*4096+i*4:], []byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.IntN(64)), 0})
		}
		copy(image[page*4096:], []byte{byte(page), byte(page >> 8), 0, 0, 0, 0, 0, 0, kindLeaf, 0})
	}
	file, read := Open(bytes.NewReader(image), int64(len(image))), 0
	if _, err := file.Check(); err == nil {
		t.Error("it was called whole")
	}
	must(t, file.Each(func(_ string, _, value []byte) error { read += len(value); return nil }))
	if limit := 8*len(image) + maxValue; read > limit {
		t.Errorf("read %d bytes, allowed are %d", read, limit)
	}
}
