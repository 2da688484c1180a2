package dlq

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"
)

// A letter is kept as two values. The body lies alone, so that a change of state does not write it again and neither
// opening nor filtering reads it. The head holds all else: a summary that is cheap to read, then the JSON.
//
//	version | state | created | body length | body CRC | adapter id | scope | JSON without body | CRC of all before
//
// Integers are big-endian, strings have a varint length before them, the JSON reaches up to the CRC (CRC-32C).
const (
	encodingVersion = 1
	summaryFixed    = 1 + 1 + 8 + 8 + 4
	sealSize        = 4
)

// overhead is what a letter is charged for beyond its bytes: index entries and the unused ends of pages.
const overhead = 256

// A summary is what the spool itself needs to know of a letter.
type summary struct {
	state    State
	created  time.Time
	bodySize int64
	bodySum  uint32
	adapter  string
	scope    string
	size     int64 // what the letter counts against MaxBytes
}

// encodeHead writes all of l but its body, of which it takes the size and the checksum.
func encodeHead(l *Letter, bodySize int64, bodySum uint32) ([]byte, error) {
	code, err := codeOf(l.State)
	if err != nil {
		return nil, err
	}
	bare := *l
	bare.OriginalMessage.Body = nil
	text, err := json.Marshal(&bare)
	if err != nil {
		return nil, fmt.Errorf("encode letter %s: %w", l.ID, err)
	}
	m := &l.Metadata
	b := make([]byte, 0, summaryFixed+len(m.AdapterID)+len(m.Scope)+8+len(text)+sealSize)
	b = append(b, encodingVersion, code)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Created.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(bodySize))
	b = binary.BigEndian.AppendUint32(b, bodySum)
	b = appendString(appendString(b, m.AdapterID), m.Scope)
	b = append(b, text...)
	return binary.BigEndian.AppendUint32(b, checksum(b)), nil
}

// decodeSummary reads the start of a head and returns the JSON that follows; ok is false for a damaged head.
func decodeSummary(id, head []byte) (s summary, text []byte, ok bool) {
	end := len(head) - sealSize
	if end < summaryFixed || head[0] != encodingVersion || checksum(head[:end]) != binary.BigEndian.Uint32(head[end:]) {
		return s, nil, false
	}
	if int(head[1]) >= len(States()) {
		return s, nil, false
	}
	s.state = States()[head[1]]
	s.created = time.Unix(0, int64(binary.BigEndian.Uint64(head[2:])))
	s.bodySize = int64(binary.BigEndian.Uint64(head[10:]))
	s.bodySum = binary.BigEndian.Uint32(head[18:])
	rest := head[summaryFixed:end]
	var okAdapter, okScope bool
	s.adapter, rest, okAdapter = cutString(rest)
	s.scope, rest, okScope = cutString(rest)
	s.size = int64(len(id)) + int64(len(head)) + s.bodySize + overhead
	return s, rest, okAdapter && okScope && s.bodySize >= 0
}

// decodeLetter builds a letter that shares no memory with the values it is read from. Without wantBody the letter has
// none.
func decodeLetter(id, head, body []byte, wantBody bool) (*Letter, error) {
	s, text, ok := decodeSummary(id, head)
	if !ok {
		return nil, errDamaged
	}
	l := new(Letter)
	if err := json.Unmarshal(text, l); err != nil {
		return nil, errDamaged
	}
	if !wantBody {
		return l, nil
	}
	if int64(len(body)) != s.bodySize || checksum(body) != s.bodySum {
		return nil, errDamaged
	}
	if len(body) > 0 {
		l.OriginalMessage.Body = append([]byte(nil), body...)
	}
	return l, nil
}

func codeOf(state State) (byte, error) {
	for i, s := range States() {
		if s == state {
			return byte(i), nil
		}
	}
	return 0, fmt.Errorf("a letter cannot have the state %q", state)
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return "", nil, false
	}
	end := n + int(length)
	return string(b[n:end]), b[end:], true
}
