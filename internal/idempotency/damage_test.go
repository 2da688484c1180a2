package idempotency_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

// damage closes e, changes one byte of every value in the bucket, and opens the file again.
func damage(t *testing.T, e *idempotency.Embedded, path, bucket string, c *clock) *idempotency.Embedded {
	t.Helper()
	must(t, e.Close())
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		b, changed := tx.Bucket([]byte(bucket)), make(map[string][]byte)
		must(t, b.ForEach(func(k, v []byte) error {
			changed[string(k)] = append([]byte(nil), v...)
			changed[string(k)][len(v)/2] ^= 0x40
			return nil
		}))
		for k, v := range changed {
			must(t, b.Put([]byte(k), v))
		}
		return nil
	}))
	must(t, db.Close())
	return open(t, path, c)
}

func TestADamagedRecordIsUnknownNeverAbsent(t *testing.T) {
	for _, bucket := range []string{"keys", "expiries"} {
		t.Run(bucket, func(t *testing.T) {
			path, c := filepath.Join(t.TempDir(), "keys.db"), newClock()
			e := open(t, path, c)
			d := begin(t, e, "k", idempotency.Granted)
			must(t, e.Finish(t.Context(), request("k").Scope, d.Owner, &idempotency.Outcome{Status: 200, Body: []byte("ok")}, time.Hour))
			e = damage(t, e, path, bucket, c)
			begin(t, e, "k", idempotency.Unknown)
			if got := e.Stats().Corrupt; got != 1 {
				t.Errorf("counted %d", got)
			}
			if bucket == "keys" { // without a readable time it cannot expire
				c.Advance(2 * time.Hour)
				_, err := e.Sweep(t.Context())
				must(t, err)
				begin(t, e, "k", idempotency.Unknown)
			}
			again := request("k")
			again.Resend = true
			if got, err := e.Begin(t.Context(), again); err != nil || got.Verdict != idempotency.Granted {
				t.Errorf("resent: %+v, %v", got, err)
			}
		})
	}
}

func TestADamagedClaimIsUnknownAfterARestart(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "keys.db"), newClock()
	e := open(t, path, c)
	begin(t, e, "k", idempotency.Granted)
	e = damage(t, e, path, "claims", c)
	if got := e.Stats().Corrupt; got != 1 {
		t.Errorf("counted %d", got)
	}
	begin(t, e, "k", idempotency.Unknown)
}
