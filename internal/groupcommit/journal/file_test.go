package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string, limit int) *File {
	t.Helper()
	j, err := Open(path, limit, Begin())
	must(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// group makes records of different lengths; their texts say which they are.
func group(random *rand.Rand, first, n int) (records [][]byte) {
	for i := range n {
		text := fmt.Sprint("record ", first+i, " ")
		records = append(records, append([]byte(text), bytes.Repeat([]byte("x"), random.IntN(3000))...))
	}
	return records
}

func image(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// expectPrefix: everything of want is found, in order; what may follow is of the group that was torn.
func expectPrefix(t *testing.T, what string, f Found, want, torn [][]byte) {
	t.Helper()
	if f.Missing != 0 || len(f.Records) < len(want) || len(f.Records) > len(want)+len(torn) {
		t.Fatalf("%s: %d records and %d missing, want %d and up to %d more", what, len(f.Records), f.Missing, len(want), len(torn))
	}
	for i, w := range want {
		if !bytes.Equal(f.Records[i], w) {
			t.Fatalf("%s: record %d is %.20q, want %.20q", what, i, f.Records[i], w)
		}
	}
	for _, r := range f.Records[len(want):] {
		if !containsRecord(torn, r) {
			t.Fatalf("%s: %.20q was never written", what, r)
		}
	}
}

func containsRecord(list [][]byte, r []byte) bool {
	for _, l := range list {
		if bytes.Equal(l, r) {
			return true
		}
	}
	return false
}

func TestATornWriteLosesNothingThatWasSynced(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path, MinSegment)
	begin := j.Position()
	var want [][]byte
	for range 25 {
		before := image(t, path)
		torn := group(random, len(want), 1+random.IntN(4))
		must(t, j.Write(torn))
		after := image(t, path)
		for range 40 { // any of the sectors may have reached the disk
			crashed := bytes.Clone(before)
			for at := 0; at < len(crashed); at += 512 {
				if random.IntN(2) == 0 {
					copy(crashed[at:at+512], after[at:at+512])
				}
			}
			expectPrefix(t, "sectors", find(crashed, begin), want, torn)
			cut := random.IntN(len(after)) // or the write ended at any byte
			expectPrefix(t, "cut", find(append(bytes.Clone(after[:cut]), before[cut:]...), begin), want, torn)
		}
		want = append(want, torn...)
	}
	expectPrefix(t, "all", find(image(t, path), begin), want, nil)
	from := begin
	from.Next += 7
	expectPrefix(t, "from a position", find(image(t, path), from), want[7:], nil)
	if f := find(image(t, path), Begin()); len(f.Records) != 0 {
		t.Errorf("%d records of another journal", len(f.Records))
	}
}

func TestABitFlipCostsOneRecordAndIsTold(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path, MinSegment)
	begin := j.Position()
	total, last := 0, 0
	for range 12 {
		records := group(random, total, 3)
		must(t, j.Write(records))
		last = j.at - roundUp(Space(len(records[0]))+Space(len(records[1]))+Space(len(records[2])), pageSize)
		total += 3
	}
	good, lost := image(t, path), 0
	for range 400 {
		damaged := bytes.Clone(good)
		at := random.IntN(j.at)
		damaged[at] ^= 1 << random.IntN(8)
		f := find(damaged, begin)
		missing := total - len(f.Records)
		if missing > 1 || f.Missing > missing || at < last && f.Missing != missing {
			t.Fatalf("a flip at %d of %d: %d of %d records, %d told missing", at, last, len(f.Records), total, f.Missing)
		}
		lost += missing
	}
	if lost == 0 {
		t.Error("no flip hit a record")
	}
}

func TestWhatLooksLikeARecordInAContentIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path, MinSegment)
	begin := j.Position()
	forged := appendRecord(nil, begin.Salt+1, 2, 2, []byte("forged"))
	content := bytes.Repeat(append(forged, make([]byte, 4096-len(forged))...), 4)
	must(t, j.Write([][]byte{content[pageSize/2:], content}))
	damaged := image(t, path)
	damaged[20] ^= 1 // so that the content is searched
	for what, f := range map[string]Found{"the whole": find(image(t, path), begin), "a damaged one": find(damaged, begin)} {
		for _, r := range f.Records {
			if string(r) == "forged" {
				t.Errorf("%s: found in a content", what)
			}
		}
	}
	must(t, os.WriteFile(path, image(t, path), 0o600))
	if f, err := ReadAll(path); err != nil || len(f.Records) != 2 {
		t.Errorf("%d records, %v", len(f.Records), err)
	}
}

func TestASegmentIsWrittenAnewOnlyWhenAllOfItHasLanded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path, MinSegment)
	begin, landed, total := j.Position(), uint64(1), 0
	record := bytes.Repeat([]byte("x"), 30_000)
	for lap := range 9 {
		for j.Room() >= Space(len(record)) {
			must(t, j.Write([][]byte{record}))
			total++
		}
		if lap > 0 && j.Turn(landed) {
			t.Fatal("turned over records that have not landed")
		}
		from := Position{begin.Salt, landed}
		if f := find(image(t, path), from); len(f.Records) != int(j.Position().Next-landed) || f.Missing != 0 {
			t.Fatalf("lap %d: %d records, %d missing", lap, len(f.Records), f.Missing)
		}
		if lap > 0 {
			landed = j.after[1-j.current]
		}
		if !j.Turn(landed) {
			t.Fatal("did not turn")
		}
	}
	if total < 60 {
		t.Errorf("%d records", total)
	}
}

func TestOpenTakesAFileOfItsSizeAndMakesAnyOtherAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	if _, err := Open(path, MinSegment-1, Begin()); !errors.Is(err, ErrNoRoom) {
		t.Errorf("got %v", err)
	}
	for name, size := range map[string]int64{"absent": -1, "empty": 0, "cut": 2*MinSegment + 1, "large": 64 << 20, "fits": 2 * MinSegment} {
		_ = os.Remove(path)
		if size >= 0 {
			must(t, os.WriteFile(path, nil, 0o600))
			must(t, os.Truncate(path, size))
		}
		open(t, path, MinSegment)
		if info, err := os.Stat(path); err != nil || info.Size() != 2*MinSegment || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	if f, err := Read(filepath.Join(dir, "none"), Begin()); err != nil || len(f.Records) != 0 {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := Read(dir, Begin()); err == nil {
		t.Error("a folder was read")
	}
}
