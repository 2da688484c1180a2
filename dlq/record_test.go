package dlq

import (
	"encoding/binary"
	"encoding/json"
	"reflect"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/seal"
)

// encodeFirst is version 1 of encodeHead, as it was.
func encodeFirst(t testing.TB, l *Letter) []byte {
	t.Helper()
	bare := *l
	bare.OriginalMessage.Body = nil
	text, err := json.Marshal(&bare)
	must(t, err)
	code, err := codeOf(l.State)
	must(t, err)
	b := append([]byte{1, code}, integer(uint64(l.Metadata.Created.UnixNano()))...)
	b = append(b, integer(uint64(len(l.OriginalMessage.Body)))...)
	b = binary.BigEndian.AppendUint32(b, checksum(l.OriginalMessage.Body))
	b = append(appendString(appendString(b, l.Metadata.AdapterID), l.Metadata.Scope), text...)
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

func TestAFileOfVersionOneIsRead(t *testing.T) {
	s := openSpool(t, Config{})
	dead, closed, forwarded := letter("dead"), letter("closed"), letter("forwarded")
	closed.State, forwarded.State = Discarded, Forwarded
	put(t, s, dead, closed, forwarded)
	want := s.Stats()
	must(t, s.db.Do(t.Context(), func(tx *bbolt.Tx) error {
		for _, l := range []*Letter{dead, closed, forwarded} {
			if err := tx.Bucket(bucketHeads()).Put([]byte(l.ID), encodeFirst(t, l)); err != nil {
				return err
			}
		}
		for _, name := range [][]byte{bucketForwarded(), bucketOutbox(), bucketWaiting()} {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, s.Close())
	s = openSpool(t, s.config)
	got := s.Stats()
	got.Bytes, got.Yielding = want.Bytes, want.Yielding // version one is shorter
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	list, err := s.List(Filter{ErrorType: problem.TypeServerError}, 0)
	must(t, err)
	if !reflect.DeepEqual(list, []*Letter{dead, closed, forwarded}) {
		t.Errorf("got %+v", list)
	}
	must(t, s.Discard(t.Context(), dead.ID, "me"))
	must(t, s.Discard(t.Context(), forwarded.ID, "me"))
	if got := s.Stats(); len(got.OpenByGroup) != 0 || got.ByState[Discarded] != 3 {
		t.Errorf("%+v", got)
	}
}

func TestStatsCountOpenLettersByAdapterAndErrorType(t *testing.T) {
	s := openSpool(t, Config{})
	a, b, c := letter("a"), letter("b"), letter("c")
	b.Error.Type, c.Error.Type = problem.TypeNetwork, problem.TypeNetwork
	put(t, s, a, b, c)
	want := map[Group]int{{"sales-id", problem.TypeServerError}: 1, {"sales-id", problem.TypeNetwork}: 2}
	if got := s.Stats().OpenByGroup; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	must(t, s.Discard(t.Context(), a.ID, "me"))
	must(t, s.Update(t.Context(), b.ID, func(l *Letter) error { l.Error.Type = problem.TypeOutcomeUnknown; return nil }))
	want = map[Group]int{{"sales-id", problem.TypeOutcomeUnknown}: 1, {"sales-id", problem.TypeNetwork}: 1}
	if got := s.Stats().OpenByGroup; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// FuzzDecode: whatever lies in the file, decoding it neither panics nor takes it for another letter's.
func FuzzDecode(f *testing.F) {
	l := letter("a body")
	head, err := encodeHead(l, nil, l.OriginalMessage.Body)
	must(f, err)
	key := sealer(f, hexKey(1))
	sealed, body, err := pack(key, l.ID, &l.OriginalMessage)
	must(f, err)
	sealedHead, err := encodeHead(l, sealed, body)
	must(f, err)
	f.Add(head, l.OriginalMessage.Body)
	f.Add(sealedHead, body)
	f.Add(encodeFirst(f, l), l.OriginalMessage.Body)
	f.Fuzz(func(t *testing.T, head, body []byte) {
		for _, refresh := range []bool{false, true} { // with a good checksum the fuzzer gets further
			if refresh && len(head) > sumSize {
				end := len(head) - sumSize
				sum := headSum(l.ID, head[:end])
				if head[0] == 1 {
					sum = checksum(head[:end])
				}
				head = binary.BigEndian.AppendUint32(head[:end:end], sum)
			}
			for _, s := range []*seal.Sealer{nil, key} {
				got, err := decode(s, []byte(l.ID), head, body)
				if (got == nil) == (err == nil) {
					if err == nil || got != nil && err != errDamaged {
						t.Fatalf("%v, %v", got, err)
					}
				}
			}
			if s, ok := decodeSummary([]byte(l.ID), head); ok && (s.size < 0 || s.bodySize < 0) {
				t.Fatalf("%+v", s)
			}
		}
	})
}
