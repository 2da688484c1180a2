package oauth

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestANewClientSecretIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{lifetime: time.Hour, key: "old", accepts: "new"}
		s := e.source()
		for range 60 {
			_, _ = get(t, s)
			time.Sleep(time.Second)
		}
		if n := e.fetches(); n > 8 {
			t.Errorf("the wrong secret was tried %d times in a minute", n)
		}
		before := e.fetches()
		e.set(func() { e.key = "new" })
		time.Sleep(lookAgain)
		if got, err := get(t, s); got == "" || err != nil || e.fetches() != before+1 {
			t.Errorf("a second after the rotation: %v after %d more fetches", err, e.fetches()-before)
		}
	})
}

func TestAClientSecretThatCannotBeReadIsLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{lifetime: time.Hour, keyError: errors.New("env:KEY is not set")}
		s := e.source()
		for range 50 {
			if _, err := get(t, s); err == nil || !strings.Contains(err.Error(), "env:KEY") {
				t.Fatalf("got %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if e.fetches() != 0 || e.counts[Secret] != 5 {
			t.Errorf("%d fetches, the secret was read %d times", e.fetches(), e.counts[Secret])
		}
		e.set(func() { e.keyError = nil })
		time.Sleep(time.Second)
		want(t, s, "token-1")
	})
}
