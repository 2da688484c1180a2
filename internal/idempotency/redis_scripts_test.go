package idempotency

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// A raw store runs single scripts, in any order, as a network that delays and repeats commands does.
type raw struct {
	*testing.T
	*Redis
}

func newRaw(t *testing.T) raw {
	client, err := shared.Open(shared.Config{Addresses: []string{miniredis.RunT(t).Addr()}, Prefix: "test", Budget: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	store := NewRedis(client, RedisOptions{})
	t.Cleanup(func() {
		_ = store.Close()
		_ = client.Close()
	})
	return raw{t, store}
}

var scopeUnderTest = Scope{1}

func (r raw) claim(owner Owner, want string) {
	r.Helper()
	reply, err := r.client.Run(context.Background(), r.scripts.claim, r.key(scopeUnderTest), owner.String(), "fingerprint", "letter", "0", 10_000, 60_000, 60_000)
	if parts, _ := reply.([]any); err != nil || len(parts) == 0 || parts[0] != want {
		r.Fatalf("claim: %v, %v, want %s", reply, err, want)
	}
}

func (r raw) beat(owner Owner, want string) {
	r.Helper()
	now := time.Now()
	call := r.callHeartbeat(&hold{scope: scopeUnderTest, owner: owner, until: now.Add(time.Minute)}, now)
	if reply, err := r.client.Run(context.Background(), call.Script, call.Key, call.Args...); err != nil || reply != want {
		r.Fatalf("heartbeat: %v, %v, want %s", reply, err, want)
	}
}

func (r raw) settle(how step, owner Owner, want string) {
	r.Helper()
	now := time.Now()
	call := r.callSettle(&settlement{step: how, scope: scopeUnderTest, owner: owner, until: now.Add(time.Minute)}, now)
	if reply, err := r.client.Run(context.Background(), call.Script, call.Key, call.Args...); err != nil || reply != want {
		r.Fatalf("%s: %v, %v, want %s", how, reply, err, want)
	}
}

func TestEveryScriptMayRunTwice(t *testing.T) {
	for _, how := range []step{finish, release, abandon, undo} {
		r, owner := newRaw(t), newOwner()
		r.claim(owner, "granted")
		r.claim(owner, "granted")
		r.beat(owner, "held")
		r.beat(owner, "held")
		r.settle(how, owner, "settled")
		r.settle(how, owner, "late")
	}
}

func TestWhatComesLateChangesNothing(t *testing.T) {
	for _, how := range []step{finish, release, abandon, undo} {
		r, owner := newRaw(t), newOwner()
		r.claim(owner, "granted")
		r.settle(how, owner, "settled")
		r.beat(owner, "late")
		r.claim(owner, "late")
		if how == release || how == undo {
			other := newOwner()
			r.claim(other, "granted")
			r.settle(how, owner, "lost")
			r.beat(other, "held")
			r.beat(owner, "lost")
			r.claim(owner, "in flight")
		}
	}
}

func TestAClaimThatComesAfterItsUndoIsNotGranted(t *testing.T) {
	r, owner := newRaw(t), newOwner()
	r.settle(undo, owner, "settled")
	r.claim(owner, "late")
	r.claim(newOwner(), "granted")
}

func TestAnOwnersNextTurnEndsTheOneBefore(t *testing.T) {
	for _, how := range []step{release, abandon} {
		r, owner := newRaw(t), newOwner()
		r.claim(owner, "granted")
		r.claim(owner.next(), "granted")
		r.settle(how, owner, "late")
		r.beat(owner, "late")
		r.beat(owner.next(), "held")
		r.settle(finish, owner.next(), "settled")
	}
}

func TestTurnsKeepTheirOwner(t *testing.T) {
	owner := newOwner()
	if next := owner.next(); next == owner || [turnAt]byte(next[:turnAt]) != [turnAt]byte(owner[:turnAt]) || next.next() == owner {
		t.Errorf("%x, then %x", owner, next)
	}
}
