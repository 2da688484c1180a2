package policy

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// sharedStore is a store that others may hold up: it notes what it is asked, and with what deadline.
type sharedStore struct {
	idempotency.Store
	degraded error
	asked    []idempotency.Request
	bounded  []bool // each call's context
}

func (s *sharedStore) note(ctx context.Context) {
	_, bounded := ctx.Deadline()
	s.bounded = append(s.bounded, bounded)
}

func (s *sharedStore) Begin(ctx context.Context, r idempotency.Request) (idempotency.Decision, error) {
	s.note(ctx)
	s.asked = append(s.asked, r)
	d, err := s.Store.Begin(ctx, r)
	if d.Verdict == idempotency.Granted && err == nil {
		d.Degraded = s.degraded
	}
	return d, err
}

func (s *sharedStore) Finish(ctx context.Context, scope idempotency.Scope, o idempotency.Owner, out *idempotency.Outcome, ttl time.Duration) error {
	s.note(ctx)
	return s.Store.Finish(ctx, scope, o, out, ttl)
}

func (s *sharedStore) Release(ctx context.Context, scope idempotency.Scope, o idempotency.Owner) error {
	s.note(ctx)
	return s.Store.Release(ctx, scope, o)
}

func (s *sharedStore) Abandon(ctx context.Context, scope idempotency.Scope, o idempotency.Owner, ttl time.Duration) error {
	s.note(ctx)
	return s.Store.Abandon(ctx, scope, o, ttl)
}

func TestAKeyGrantedWithoutTheSharedStoreSaysSoUnlessItIsReplayed(t *testing.T) {
	down := errors.New("down")
	for _, status := range []int{200, 503} {
		store, calls := &sharedStore{Store: openKeys(t, nil), degraded: down}, 0
		stage := keyStages(testSettings(), testIdentity(), store)(answers(status, "done", &calls))
		x := keyedCall(t, "k", "{}")
		if resp, err := stage(x); err != nil || resp.Status != status || x.Idempotency != "store_failed" || x.StoreError != down {
			t.Errorf("%d: %v, %v, %s, %v", status, resp, err, x.Idempotency, x.StoreError)
		}
		if status != 200 {
			continue
		}
		again := keyedCall(t, "k", "{}")
		if _, err := stage(again); err != nil || calls != 1 || again.Idempotency != "replayed" || again.StoreError != nil {
			t.Errorf("again: %v after %d calls, %s, %v", err, calls, again.Idempotency, again.StoreError)
		}
	}
}

func TestASharedStoreIsToldWhetherItMayFailOpen(t *testing.T) {
	for setting, open := range map[string]bool{"fail_open": true, "fail_closed": false} {
		s, store, calls := testSettings(), &sharedStore{Store: openKeys(t, nil)}, 0
		s.Idempotency.Store = setting
		if _, err := keyStages(s, testIdentity(), store)(answers(200, "", &calls))(keyedCall(t, "k", "{}")); err != nil {
			t.Fatal(err)
		}
		if len(store.asked) != 1 || store.asked[0].FailOpen != open {
			t.Errorf("%s: %+v", setting, store.asked)
		}
	}
}

func TestEveryStepOfASharedStoreIsWaitedForWithPatience(t *testing.T) {
	for name, next := range map[string]Next{
		"finish": answers(200, "", new(int)), "release": answers(503, "", new(int)),
		"abandon": func(x *Exchange) (*wire.Response, error) {
			x.Unknown = true
			return nil, problem.New(problem.UpstreamTimeout, "")
		},
		"panic": func(*Exchange) (*wire.Response, error) { panic("bug") },
	} {
		for _, bounded := range []bool{true, false} {
			store, x := &sharedStore{Store: openKeys(t, nil)}, keyedCall(t, "k", "{}")
			if bounded {
				x.Patience = shared.NewPatience(time.Minute)
			}
			func() {
				defer func() { _ = recover() }()
				_, _ = keyStages(testSettings(), testIdentity(), store)(next)(x)
			}()
			if len(store.bounded) != 2 || store.bounded[0] != bounded || store.bounded[1] != bounded {
				t.Errorf("%s: deadlines %v, want %v", name, store.bounded, bounded)
			}
		}
	}
}

func TestTheOwnerOfAKeyIsWaitedForLongerThanTheStore(t *testing.T) {
	store, leave := watch(t), make(chan struct{})
	stage := keyStages(testSettings(), testIdentity(), store)(func(*Exchange) (*wire.Response, error) {
		<-leave
		return &wire.Response{Status: 200}, nil
	})
	first := make(chan struct{})
	go func() {
		_, _ = stage(keyedCall(t, "k", "{}"))
		close(first)
	}()
	store.until(idempotency.Granted, 1)
	waiter := keyedCall(t, "k", "{}")
	waiter.Patience = shared.NewPatience(300 * time.Millisecond)
	time.AfterFunc(400*time.Millisecond, func() { close(leave) })
	if resp, err := stage(waiter); err != nil || resp.Status != 200 || waiter.Idempotency != "replayed" {
		t.Errorf("%v, %v, %s", resp, err, waiter.Idempotency)
	}
	<-first
}
