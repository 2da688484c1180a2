package policy

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// watchedStore tells the test what each Begin found.
type watchedStore struct {
	idempotency.Store
	found chan idempotency.Verdict
}

func (w *watchedStore) Begin(ctx context.Context, r idempotency.Request) (idempotency.Decision, error) {
	d, err := w.Store.Begin(ctx, r)
	w.found <- d.Verdict
	return d, err
}

// until waits for n calls that found verdict.
func (w *watchedStore) until(verdict idempotency.Verdict, n int) {
	for n > 0 {
		if <-w.found == verdict {
			n--
		}
	}
}

func watch(t *testing.T) *watchedStore {
	return &watchedStore{Store: openKeys(t, nil), found: make(chan idempotency.Verdict, 1000)}
}

func TestCallsWithTheSameKeyWaitForTheFirst(t *testing.T) {
	store, leave := watch(t), make(chan struct{})
	var sent, replayed atomic.Int64
	stage := keyStages(testSettings(), testIdentity(), store)(func(*Exchange) (*wire.Response, error) {
		sent.Add(1)
		<-leave
		return &wire.Response{Status: 201, Content: []byte("made")}, nil
	})
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			resp, err := stage(keyedCall(t, "k", "{}"))
			if err != nil || resp.Status != 201 || string(resp.Content) != "made" {
				t.Errorf("got %v, %v", resp, err)
				return
			}
			if resp.Fields.Has("Idempotency-Replayed") {
				replayed.Add(1)
			}
		})
	}
	store.until(idempotency.InFlight, 19)
	close(leave)
	calls.Wait()
	if sent.Load() != 1 || replayed.Load() != 19 {
		t.Errorf("sent %d times, replayed %d times", sent.Load(), replayed.Load())
	}
}

func TestAWaiterRunsWhenTheFirstFreesItsKey(t *testing.T) {
	store, leave := watch(t), make(chan struct{})
	var sent atomic.Int64
	stage := keyStages(testSettings(), testIdentity(), store)(func(*Exchange) (*wire.Response, error) {
		if sent.Add(1) == 1 {
			<-leave
			return &wire.Response{Status: 503}, nil
		}
		return &wire.Response{Status: 200}, nil
	})
	statuses := make(chan int)
	for range 2 {
		go func() {
			resp, _ := stage(keyedCall(t, "k", "{}"))
			statuses <- resp.Status
		}()
	}
	store.until(idempotency.InFlight, 1)
	close(leave)
	if a, b := <-statuses, <-statuses; a+b != 703 || sent.Load() != 2 {
		t.Errorf("answers %d and %d after %d calls", a, b, sent.Load())
	}
}

func TestAWaiterGivesUpAtItsDeadlineOrWhenItsApplicationLeaves(t *testing.T) {
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

	late := keyedCall(t, "k", "{}")
	late.Deadline = time.Now().Add(20 * time.Millisecond)
	_, err := stage(late)
	p, _ := err.(*problem.Problem)
	if kindOf(err) != problem.KeyInFlight || !p.Retryable() || p.RetryAfter <= 0 || late.Idempotency != "in_flight" {
		t.Errorf("at its deadline: %v, %s", err, late.Idempotency)
	}

	gone := keyedCall(t, "k", "{}")
	cancel := cancelable(gone)
	left := make(chan error)
	go func() {
		_, err := stage(gone)
		left <- err
	}()
	store.until(idempotency.InFlight, 2)
	cancel()
	if err := <-left; err != ErrCanceled {
		t.Errorf("its application left: %v", err)
	}
	close(leave)
	<-first
}

func TestTheKeyIsSettledAlthoughTheApplicationWentAway(t *testing.T) {
	store, calls := openKeys(t, nil), 0
	x := keyedCall(t, "k", "{}")
	cancel := cancelable(x)
	_, _ = keyStages(testSettings(), testIdentity(), store)(func(*Exchange) (*wire.Response, error) {
		cancel()
		return &wire.Response{Status: 200, Content: []byte("made")}, nil
	})(x)
	resp, err := keyStages(testSettings(), testIdentity(), store)(answers(500, "", &calls))(keyedCall(t, "k", "{}"))
	if err != nil || string(resp.Content) != "made" || calls != 0 {
		t.Errorf("%v, %v after %d calls", resp, err, calls)
	}
}

func TestAnAnswerTooLargeToKeepIsNotSentAgain(t *testing.T) {
	store, calls := openKeys(t, nil), 0
	_, _ = keyStages(testSettings(), testIdentity(), store)(play(t, answered(200)).next)(keyedCall(t, "k", "{}")) // a stream
	x := keyedCall(t, "k", "{}")
	_, err := keyStages(testSettings(), testIdentity(), store)(answers(200, "", &calls))(x)
	p, ok := err.(*problem.Problem)
	if !ok || p.Status() != 409 || p.ErrorType() != problem.TypeIdempotency || calls != 0 || x.Idempotency != "replayed" {
		t.Errorf("%v after %d calls, %s", err, calls, x.Idempotency)
	}
}
