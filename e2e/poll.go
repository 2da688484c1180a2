package e2e

import (
	"testing"
	"time"
)

// Eventually polls until cond holds and fails the test when it does not within a generous deadline.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !poll(time.Now().Add(patience), cond) {
		t.Fatalf("waited %s for %s, in vain", patience, what)
	}
}

// poll asks cond every few milliseconds and reports whether it held before the deadline.
func poll(deadline time.Time, cond func() bool) bool {
	for !cond() {
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(5 * time.Millisecond)
	}
	return true
}

// Receive takes one value and fails the test when none comes.
func Receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %s for %s, in vain", patience, what)
	}
	panic("unreachable")
}

// Until returns at the given time: for behaviour that is defined by a clock, never to wait for something to happen.
func Until(at time.Time) { <-time.After(time.Until(at)) }
