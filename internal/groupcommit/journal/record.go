package journal

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// A record lies at a multiple of 8 bytes:
//
//	salt 8 | sequence 8 | sequence of the first record of its group 8 | length 4 | CRC-32C of the others and the content 4 | content
//
// Integers are big-endian. Records of a group follow each other, and a group begins at a page of its own, so that no
// byte that was ever synced is written again before its segment is. The salt is random and leaves neither the file nor
// the store: what looks like a record in the middle of a content, which strangers write, is none.
const (
	headerSize = 32
	pageSize   = 4096
	align      = 8
)

// Position says that every record of this salt below the sequence is where it belongs.
type Position struct{ Salt, Next uint64 }

// Begin returns the position of a journal that nobody has written yet.
func Begin() Position {
	var salt [8]byte
	_, _ = rand.Read(salt[:]) // it never fails
	return Position{Salt: binary.BigEndian.Uint64(salt[:]) | 1, Next: 1}
}

// Append adds the position to b, in 16 bytes.
func (p Position) Append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, p.Salt), p.Next)
}

// ParsePosition reads what Append wrote; ok is false for anything else.
func ParsePosition(b []byte) (p Position, ok bool) {
	if len(b) != 16 {
		return p, false
	}
	return Position{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, true
}

// Space is what a record of n bytes takes.
func Space(n int) int { return roundUp(headerSize+n, align) }

func roundUp(n, to int) int { return (n + to - 1) / to * to }

func appendRecord(b []byte, salt, sequence, first uint64, content []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, salt)
	b = binary.BigEndian.AppendUint64(b, sequence)
	b = binary.BigEndian.AppendUint64(b, first)
	b = binary.BigEndian.AppendUint32(b, uint32(len(content)))
	b = binary.BigEndian.AppendUint32(b, sum(b[start:], content))
	b = append(b, content...)
	return append(b, make([]byte, roundUp(len(b)-start, align)-(len(b)-start))...)
}

func sum(header, content []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(header, table), table, content)
}

// A record as it was found.
type record struct {
	salt, sequence, first uint64
	content               []byte
}

// parse reads the record at the beginning of b; ok is false when there is none, or a damaged one.
func parse(b []byte) (r record, ok bool) {
	if len(b) < headerSize {
		return r, false
	}
	length := int64(binary.BigEndian.Uint32(b[24:]))
	if length > int64(len(b)-headerSize) {
		return r, false
	}
	r.content = b[headerSize : headerSize+length]
	if binary.BigEndian.Uint32(b[28:]) != sum(b[:28], r.content) {
		return r, false
	}
	r.salt, r.sequence, r.first = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	return r, r.first <= r.sequence
}

// Found is what a file holds.
type Found struct {
	Records [][]byte // in the order in which they were written
	Missing int      // records that had been synced, and cannot be read
}

// find returns the records from a position on. It looks at every place where one may be, so that a damaged one costs no
// other. Records after the first that is missing in a group without successor were never acknowledged, and neither was
// the missing one: a crash tore that group.
func find(image []byte, from Position) (f Found) {
	var records []record
	for at := 0; at+headerSize <= len(image); {
		if binary.BigEndian.Uint64(image[at:]) == from.Salt {
			if r, ok := parse(image[at:]); ok {
				at += Space(len(r.content))
				if r.sequence >= from.Next {
					records = append(records, r)
				}
				continue
			}
		}
		at += align
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.sequence, b.sequence) })
	records = slices.CompactFunc(records, func(a, b record) bool { return a.sequence == b.sequence })
	synced, present := from.Next, 0
	for _, r := range records {
		f.Records = append(f.Records, r.content)
		synced = max(synced, r.first)
	}
	for _, r := range records {
		if r.sequence < synced {
			present++
		}
	}
	f.Missing = int(synced-from.Next) - present
	return f
}
