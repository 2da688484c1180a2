package dlq

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// A letter is kept as two values. The body lies alone, so that a change of state does not write it again and neither
// opening nor filtering reads it. The head holds all else: a summary that is cheap to read, then the JSON.
//
//	version | state | created | body length | body CRC | adapter id | scope | error type | sealed message |
//	JSON without body | CRC of the id and all before
//
// Integers are big-endian, strings have a varint length before them, the JSON reaches up to the CRC (CRC-32C). Length
// and CRC of the body are those of what lies on the disk. When the sealed message is not empty, body and message are
// sealed (see seal.Sealer) and the JSON holds what Message.outside leaves.
//
// Version 1, which is still read, has neither error type nor sealed message, and its CRC leaves the id out.
const (
	encodingVersion = 2
	summaryFixed    = 1 + 1 + 8 + 8 + 4
	sumSize         = 4
)

// overhead is what a letter is charged for beyond its bytes: index entries and the unused ends of pages.
const overhead = 256

// maxBodySize is far beyond any body: a larger size is damage.
const maxBodySize = 1 << 40

// A summary is what the spool itself needs to know of a letter.
type summary struct {
	state     State
	created   time.Time
	bodySize  int64
	bodySum   uint32
	adapter   string
	scope     string
	hint      hint // to this letter
	errorType problem.ErrorType
	size      int64 // what the letter counts against MaxBytes
}

// A head is the value of that name, taken apart. Its bytes are those of the value.
type head struct {
	summary
	sealed []byte // the message, for a sealed letter
	text   []byte // JSON
}

// encodeHead writes all of l but its body, of which it takes what lies on the disk.
func encodeHead(l *Letter, sealed, body []byte) ([]byte, error) {
	return encodeHeadOf(l, sealed, int64(len(body)), checksum(body))
}

func encodeHeadOf(l *Letter, sealed []byte, bodySize int64, bodySum uint32) ([]byte, error) {
	code, err := codeOf(l.State)
	if err != nil {
		return nil, err
	}
	bare := *l
	bare.OriginalMessage.Body = nil
	if len(sealed) > 0 {
		bare.OriginalMessage = l.OriginalMessage.outside()
	}
	text, err := json.Marshal(&bare)
	if err != nil {
		return nil, fmt.Errorf("encode letter %s: %w", l.ID, err)
	}
	m, kind := &l.Metadata, string(l.Error.Type)
	b := make([]byte, 0, summaryFixed+len(m.AdapterID)+len(m.Scope)+len(kind)+len(sealed)+16+len(text)+sumSize)
	b = append(b, encodingVersion, code)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Created.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(bodySize))
	b = binary.BigEndian.AppendUint32(b, bodySum)
	b = appendString(appendString(appendString(appendString(b, m.AdapterID), m.Scope), kind), string(sealed))
	b = append(b, text...)
	return binary.BigEndian.AppendUint32(b, headSum(l.ID, b)), nil
}

// decodeHead takes a head apart; ok is false for a damaged one.
func decodeHead(id, value []byte) (h head, ok bool) {
	end := len(value) - sumSize
	if end < summaryFixed || int(value[1]) >= len(States()) {
		return h, false
	}
	if sum := binary.BigEndian.Uint32(value[end:]); value[0] == 1 && sum != checksum(value[:end]) ||
		value[0] == encodingVersion && sum != headSum(string(id), value[:end]) {
		return h, false
	}
	h.state = States()[value[1]]
	h.hint = hintOf(id)
	h.created = time.Unix(0, int64(binary.BigEndian.Uint64(value[2:])))
	h.bodySize = int64(binary.BigEndian.Uint64(value[10:]))
	h.bodySum = binary.BigEndian.Uint32(value[18:])
	h.size = int64(len(id)) + int64(len(value)) + h.bodySize + overhead
	switch value[0] {
	case 1:
		ok = h.decodeFirst(value[summaryFixed:end])
	case encodingVersion:
		ok = h.decode(value[summaryFixed:end])
	}
	return h, ok && h.bodySize >= 0 && h.bodySize <= maxBodySize
}

func (h *head) decode(rest []byte) bool {
	fields := make([][]byte, 4)
	for i := range fields {
		var ok bool
		if fields[i], rest, ok = cut(rest); !ok {
			return false
		}
	}
	h.adapter, h.scope, h.errorType = string(fields[0]), string(fields[1]), problem.ErrorType(fields[2])
	h.sealed, h.text = fields[3], rest
	return true
}

// decodeFirst reads what version 1 had, whose error type stands in the JSON only.
func (h *head) decodeFirst(rest []byte) bool {
	adapter, rest, ok := cut(rest)
	if !ok {
		return false
	}
	scope, rest, ok := cut(rest)
	if !ok {
		return false
	}
	h.adapter, h.scope, h.text = string(adapter), string(scope), rest
	var l struct {
		Error struct {
			Type problem.ErrorType `json:"type"`
		} `json:"error"`
	}
	ok = json.Unmarshal(rest, &l) == nil
	h.errorType = l.Error.Type
	return ok
}

// decodeSummary reads only the summary.
func decodeSummary(id, value []byte) (summary, bool) {
	h, ok := decodeHead(id, value)
	return h.summary, ok
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

func headSum(id string, b []byte) uint32 {
	return crc32.Update(checksum([]byte(id)), crc32.MakeTable(crc32.Castagnoli), b)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cut(b []byte) (field, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(length)
	return b[n:end], b[end:], true
}
