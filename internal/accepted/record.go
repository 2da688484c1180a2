package accepted

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

var errDamaged = errors.New("damaged record")

// record is an exchange on disk without its bodies. What the application sent is kept as bytes: it need not be UTF-8,
// which JSON text must.
type record struct {
	Sequence uint64 `json:"sequence"`       // order of acceptance
	Turn     uint64 `json:"turn,omitempty"` // grows with each change, over all sidecars that had it
	State    State  `json:"state"`

	Adapter        string `json:"adapter"`
	AdapterID      string `json:"adapter_id"`
	AdapterVersion string `json:"adapter_version,omitempty"`
	Operation      string `json:"operation,omitempty"`

	Method string      `json:"method"`
	Target []byte      `json:"target,omitempty"`
	Fields [][2][]byte `json:"fields,omitempty"`
	Body   digest      `json:"body,omitzero"`    // as it lies on the disk
	Sealed []byte      `json:"sealed,omitempty"` // target, fields and fingerprint, in place of those here; then the body is sealed too

	Key         string `json:"key"`
	KeySource   uint8  `json:"key_source"`
	Scope       string `json:"scope"`
	Fingerprint []byte `json:"fingerprint,omitempty"`
	Order       []byte `json:"order"`
	Tenant      []byte `json:"tenant,omitempty"`
	User        []byte `json:"user,omitempty"`

	CorrelationID string        `json:"correlation_id"`
	Accepted      time.Time     `json:"accepted"`
	Updated       time.Time     `json:"updated"`
	Until         time.Time     `json:"until"`
	TTL           time.Duration `json:"ttl"`
	NextTry       time.Time     `json:"next_try,omitzero"`
	Attempts      int           `json:"attempts,omitempty"`
	Doubtful      bool          `json:"doubtful,omitempty"`
	Since         time.Time     `json:"since,omitzero"`
	Reason        string        `json:"reason,omitempty"`

	Result *result `json:"result,omitempty"`
}

// result is a Result on disk; its body has a bucket of its own.
type result struct {
	Status   int         `json:"status"`
	Fields   [][2][]byte `json:"fields,omitempty"`
	Body     digest      `json:"body,omitzero"`    // as it lies on the disk
	Sealed   []byte      `json:"sealed,omitempty"` // the fields, in place of those here; then the body is sealed too
	Omitted  bool        `json:"omitted,omitempty"`
	Problem  bool        `json:"problem,omitempty"`
	LetterID string      `json:"letter_id,omitempty"`
	Expires  time.Time   `json:"expires"`
	Held     bool        `json:"held,omitempty"` // a call with the same key finds this exchange
}

// digest tells a body that is not the one that was written.
type digest struct {
	Size int    `json:"size"`
	Sum  uint32 `json:"sum"`
}

func digestOf(body []byte) digest {
	if len(body) == 0 {
		return digest{}
	}
	return digest{len(body), castagnoli(body)}
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func recordOf(x *Exchange) *record {
	return &record{State: x.State, Adapter: x.Adapter, AdapterID: x.AdapterID, AdapterVersion: x.AdapterVersion, Operation: x.Operation,
		Method: x.Method, Target: []byte(x.Target), Fields: pack(x.Fields),
		Key: x.Key, KeySource: x.KeySource, Scope: x.Scope, Fingerprint: x.Fingerprint[:], Order: []byte(x.Order), Tenant: []byte(x.Tenant), User: []byte(x.User),
		CorrelationID: x.CorrelationID, Accepted: x.Accepted, Updated: x.Updated, Until: x.Until, TTL: x.TTL}
}

// exchange builds what callers see of what is never sealed; see Store.exchange.
func (r *record) exchange(id string) *Exchange {
	x := &Exchange{ID: id, State: r.State, Adapter: r.Adapter, AdapterID: r.AdapterID, AdapterVersion: r.AdapterVersion, Operation: r.Operation,
		Method: r.Method,
		Key:    r.Key, KeySource: r.KeySource, Scope: r.Scope, Order: string(r.Order), Tenant: string(r.Tenant), User: string(r.User),
		CorrelationID: r.CorrelationID, Accepted: r.Accepted, Updated: r.Updated, Until: r.Until, TTL: r.TTL, NextTry: r.NextTry,
		Attempts: r.Attempts, Doubtful: r.Doubtful, Since: r.Since, Reason: r.Reason}
	if r.Result != nil {
		x.Result = &Result{Status: r.Result.Status, Fields: unpack(r.Result.Fields), Omitted: r.Result.Omitted,
			Problem: r.Result.Problem, LetterID: r.Result.LetterID}
	}
	return x
}

func pack(fields wire.Fields) [][2][]byte {
	packed := make([][2][]byte, len(fields))
	for i, f := range fields {
		packed[i] = [2][]byte{[]byte(f.Name), []byte(f.Value)}
	}
	return packed
}

func unpack(packed [][2][]byte) wire.Fields {
	fields := make(wire.Fields, len(packed))
	for i, f := range packed {
		fields[i] = wire.Field{Name: string(f[0]), Value: string(f[1])}
	}
	return fields
}

// encode ends the record with a CRC-32C, so that a damaged one is noticed.
func (r *record) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode an accepted exchange: %w", err)
	}
	return binary.BigEndian.AppendUint32(text, castagnoli(text)), nil
}

func decodeRecord(value []byte) (*record, error) {
	end := len(value) - 4
	if end < 0 || castagnoli(value[:end]) != binary.BigEndian.Uint32(value[end:]) {
		return nil, errDamaged
	}
	r := new(record)
	if json.Unmarshal(value[:end], r) != nil {
		return nil, errDamaged
	}
	return r, nil
}
