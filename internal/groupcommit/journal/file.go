// Package journal keeps records for a short while, at the least price of a promise to keep: one write and one sync of
// a preallocated file for all who wait.
//
// The file has two halves, the segments. One is written while the records of the other are brought to where they
// belong; a segment is written anew when all of its records are there. A File is for one goroutine.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MinSegment is the least that is worth a file, in bytes.
const MinSegment = 256 << 10

// sizesOfDisk is how many times a new file must fit into what the disk has left: the rest is for where records belong.
const sizesOfDisk = 8

// ErrNoRoom is returned when the disk has no room to spare.
var ErrNoRoom = errors.New("the disk has no room to spare for a journal")

// File is a journal that can be written.
type File struct {
	f       *os.File
	segment int
	salt    uint64
	next    uint64    // sequence of the next record
	current int       // 0 or 1: the segment that is written
	at      int       // where in it the next group goes
	after   [2]uint64 // sequence after the last record of a segment
	buffer  []byte
}

// Read returns what the file at path holds from a position on; nothing when there is no file. Parts that the disk does
// not give are taken for damage.
func Read(path string, from Position) (Found, error) {
	image, err := load(path)
	return find(image, from), err
}

// ReadAll returns the records of the last one who wrote, for a store that has lost its position: also those that were
// brought to where they belong long ago.
func ReadAll(path string) (Found, error) {
	image, err := load(path)
	for _, at := range []int{0, len(image) / 2} { // each segment begins with a record, and no content does
		if r, ok := parse(image[at:]); ok {
			found := find(image, Position{Salt: r.salt})
			found.Missing = 0 // the oldest were overwritten
			return found, err
		}
	}
	return Found{}, err
}

func load(path string) (image []byte, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("the journal is not a regular file")
	}
	image = make([]byte, info.Size())
	for at := 0; at < len(image); at += 1 << 16 {
		_, _ = f.ReadAt(image[at:min(at+1<<16, len(image))], int64(at))
	}
	return image, nil
}

// Open makes the file at path ready to be written anew, creating it (mode 0600) when there is none, or one of a size
// that does not do. A segment has at most limit bytes, and fewer on a small disk: ErrNoRoom when it is too small.
// Whatever the file holds is forgotten: from is a new beginning that the store knows already.
func Open(path string, limit int, from Position) (*File, error) {
	j := &File{salt: from.Salt, next: from.Next}
	if limit = limit / pageSize * pageSize; limit < MinSegment {
		return nil, ErrNoRoom
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() <= 2*int64(limit) &&
			info.Size() >= 2*MinSegment && info.Size()%(2*pageSize) == 0 {
			j.f, j.segment = f, int(info.Size()/2)
			return j, nil
		}
		_ = f.Close()
	}
	if j.segment, err = fitting(filepath.Dir(path), limit); err != nil {
		return nil, err
	}
	if j.f, err = create(path, 2*int64(j.segment)); err != nil {
		return nil, err
	}
	return j, nil
}

// fitting halves the segment until the disk has room to spare for it.
func fitting(dir string, segment int) (int, error) {
	free, known := freeBytes(dir)
	for ; segment >= MinSegment; segment = segment / 2 / pageSize * pageSize {
		if !known || free/sizesOfDisk >= uint64(2*segment) {
			return segment, nil
		}
	}
	return 0, ErrNoRoom
}

// create makes a file whose size and place on the disk are settled, so that a sync has nothing to write but the content.
func create(path string, size int64) (*os.File, error) {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err = allocate(f, size); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(fresh)
		return nil, errors.Join(fmt.Errorf("make room for a journal: %w", err), f.Close())
	}
	return f, nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// Position is where the next record will be.
func (j *File) Position() Position { return Position{j.salt, j.next} }

// MaxRecord is the length of the longest record that is taken: some fit into a segment.
func (j *File) MaxRecord() int { return j.segment/4 - headerSize }

// Room is what the records of the next group may take, see Space.
func (j *File) Room() int { return j.segment - j.at }

// Turn goes on to the other segment if everything in it is below landed, and reports whether it did.
func (j *File) Turn(landed uint64) bool {
	other := 1 - j.current
	if j.after[other] > landed {
		return false
	}
	j.current, j.at = other, 0
	return true
}

// Write writes records that fit into Room and returns when they are on disk. After an error, which may leave some of them
// there, the file must not be written any more: whether what the kernel failed to write will ever be is not known.
func (j *File) Write(records [][]byte) error {
	j.buffer = j.buffer[:0]
	for i, r := range records {
		j.buffer = appendRecord(j.buffer, j.salt, j.next+uint64(i), j.next, r)
	}
	j.next += uint64(len(records))
	_, err := j.f.WriteAt(j.buffer, int64(j.current*j.segment+j.at))
	if err == nil {
		err = syncData(j.f)
	}
	j.at = min(roundUp(j.at+len(j.buffer), pageSize), j.segment)
	j.after[j.current] = j.next
	return err
}

// Close closes the file; what was written stays.
func (j *File) Close() error { return j.f.Close() }
