package idempotency

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// The embedded store's encoding. Every value starts with a version and ends with a CRC-32C of all before it, so that
// a damaged value is noticed and never mistaken for an absent one.
const encodingVersion = 1

var errDamaged = errors.New("damaged record")

type state byte

const (
	stateClaimed  state = 1
	stateFinished state = 2
	stateUnknown  state = 3
)

// A record is what is kept of one key, without its outcome.
type record struct {
	state       state
	until       time.Time // end of the lease of a claim; else when the record expires
	fingerprint Fingerprint
	letterID    string
	damaged     bool // stands for a value that could not be read: unknown to whoever asks; never written
}

func (r record) encode() []byte {
	b := make([]byte, 0, 2+8+len(r.fingerprint)+2+len(r.letterID)+4)
	b = append(b, encodingVersion, byte(r.state))
	b = binary.BigEndian.AppendUint64(b, uint64(r.until.UnixNano()))
	b = append(b, r.fingerprint[:]...)
	b = appendString(b, r.letterID)
	return seal(b)
}

// decodeRecord reads what encode wrote; a value it cannot read is a damaged record of unknown outcome.
func decodeRecord(value []byte) record {
	damaged := record{state: stateUnknown, damaged: true}
	r := newReader(value)
	rec := record{state: state(r.byte()), until: time.Unix(0, int64(r.uint64()))}
	copy(rec.fingerprint[:], r.take(len(rec.fingerprint)))
	rec.letterID = string(r.take(int(r.uvarint())))
	if r.failed || len(r.rest) > 0 || rec.state < stateClaimed || rec.state > stateUnknown {
		return damaged
	}
	return rec
}

func encodeOutcome(o *Outcome) []byte {
	size := 32 + len(o.Body)
	for _, f := range o.Fields {
		size += len(f.Name) + len(f.Value) + 8
	}
	b := append(make([]byte, 0, size), encodingVersion, flag(o.Omitted))
	b = binary.AppendUvarint(b, uint64(o.Status))
	b = binary.AppendUvarint(b, uint64(len(o.Fields)))
	for _, f := range o.Fields {
		b = appendString(appendString(b, f.Name), f.Value)
	}
	return seal(appendString(b, string(o.Body)))
}

// decodeOutcome copies all it returns: value may belong to a mapping that goes away.
func decodeOutcome(value []byte) (*Outcome, error) {
	r := newReader(value)
	o := &Outcome{Omitted: r.byte() != 0, Status: int(r.uvarint())}
	for n := r.uvarint(); n > 0 && !r.failed; n-- {
		name := string(r.take(int(r.uvarint())))
		o.Fields = append(o.Fields, wire.Field{Name: name, Value: string(r.take(int(r.uvarint())))})
	}
	if body := r.take(int(r.uvarint())); len(body) > 0 {
		o.Body = append([]byte(nil), body...)
	}
	if r.failed || len(r.rest) > 0 {
		return nil, errDamaged
	}
	return o, nil
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func seal(b []byte) []byte { return binary.BigEndian.AppendUint32(b, castagnoli(b)) }

// A reader takes a value apart; after the first fault it yields zeros and failed stays set.
type reader struct {
	rest   []byte
	failed bool
}

// newReader checks the seal and the version.
func newReader(value []byte) reader {
	end := len(value) - 4
	if end < 1 || value[0] != encodingVersion || castagnoli(value[:end]) != binary.BigEndian.Uint32(value[end:]) {
		return reader{failed: true}
	}
	return reader{rest: value[1:end]}
}

func (r *reader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.rest) {
		r.failed = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}
