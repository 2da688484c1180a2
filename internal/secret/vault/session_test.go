package vault

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

func TestATokenIsRenewedAndReplacedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		change        func(*fake)
		renews, login int // at least, in ten hours
	}{
		"renewed without end":       {func(*fake) {}, 14, 1},
		"renewed up to a bound":     {func(f *fake) { f.longest = 3 * time.Hour }, 9, 4},
		"lease of a minute":         {func(f *fake) { f.lease = time.Minute }, 600, 1},
		"every renewal disappoints": {func(f *fake) { f.longest = time.Hour }, 10, 15},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				c.change(f)
				r := open(t, f, nil)
				if got := r.loop("a", 10*time.Hour, 10*time.Second); !reflect.DeepEqual(got, []string{"canary-1"}) {
					t.Errorf("got %q", got)
				}
				if f.count("renew") < c.renews || f.count("login") < c.login || f.count("login") > c.login+c.login/2 || f.count("renew") > 2*c.renews {
					t.Errorf("%d renewals and %d logins", f.count("renew"), f.count("login"))
				}
				if f.count("lookup") > 0 {
					t.Error("the token expired before it was replaced")
				}
				if left := time.Until(r.Status().Expires); left <= 0 || left > f.lease {
					t.Errorf("the token expires in %s", left)
				}
			})
		})
	}
}

func TestARevokedTokenIsReplacedWithoutAFailedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.slow = 50 * time.Millisecond
		for tenant := range 50 {
			f.secrets[fmt.Sprint("t", tenant)] = map[string]any{"key": "v"}
		}
		r := open(t, f, nil)
		r.want("a", "canary-1")
		f.set(func() { clear(f.tokens) })
		var all sync.WaitGroup
		for tenant := range 50 {
			all.Go(func() { r.want(fmt.Sprint("t", tenant), "v") })
		}
		all.Wait()
		if f.count("login") != 2 || f.count("lookup") != 1 {
			t.Errorf("%d logins and %d looks at the token of 50 who were refused, want 2 and 1", f.count("login"), f.count("lookup"))
		}
	})
}

func TestALoginThatIsRefusedIsNotTriedByEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.noLogin = true
		r := open(t, f, nil)
		var all sync.WaitGroup
		for tenant := range 200 {
			all.Go(func() {
				for range 300 {
					r.want(fmt.Sprint("t", tenant), "error: Vault refuses the login at auth/kubernetes (status 403)")
					time.Sleep(200 * time.Millisecond)
				}
			})
		}
		all.Wait()
		if n := f.count("login"); n < 5 || n > 15 {
			t.Errorf("%d logins in a minute", n)
		}
		f.set(func() { f.noLogin = false })
		time.Sleep(longestPause + 6*time.Second)
		r.want("a", "canary-1")
	})
}

func TestWhatVaultSaysOfALoginIsToldUnlessItRepeatsASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, newFake(), func(c *Config) { c.Login.Role = "stranger" })
		got := r.get("a") // fails the test if it holds the canary, which the fake repeats
		if !strings.Contains(got, "auth/kubernetes") {
			t.Errorf("got %q", got)
		}
		r = open(t, newFake(), func(c *Config) {
			c.Login = Login{Method: AppRole, RoleID: always("canary-rid"), SecretID: always("canary-sid")}
		})
		if got = r.get("a"); !strings.Contains(got, `auth/approle (status 403): "no such role or service account; sent was "`) {
			t.Errorf("got %q", got)
		}
	})
}

func TestACredentialOfTheLoginThatCannotBeReadIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		missing := func() (secret.Value, error) { return secret.Value{}, errors.New("file:/jwt cannot be read") }
		r := open(t, newFake(), func(c *Config) { c.Login.JWT = missing })
		r.want("a", "error: cannot log in to Vault: file:/jwt cannot be read")
		r = open(t, newFake(), func(c *Config) { c.Login = Login{Method: TokenFile, Token: missing} })
		r.want("a", "error: there is no token for Vault: file:/jwt cannot be read")
		r = open(t, newFake(), func(c *Config) { c.Login = Login{Method: TokenFile, Token: always("canary\ntoken")} })
		r.want("a", "error: the token for Vault holds a character that no token has")
		r = open(t, newFake(), func(c *Config) { c.Login = Login{Method: TokenFile, Token: always("canary-stranger")} })
		r.want("a", "error: Vault refuses the token (status 403)")
	})
}

func TestAppRoleLogsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.allowed = map[string]string{"role_id": "canary-role", "secret_id": "canary-id"}
		r := open(t, f, func(c *Config) {
			c.Login = Login{Method: AppRole, Mount: "approle", RoleID: always("canary-role"), SecretID: always("canary-id")}
		})
		r.want("a", "canary-1")
		if got := r.Status().LoginAs; got != "approle" {
			t.Errorf("logged in as %q", got)
		}
	})
}

func TestATokenFileIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.tokens = map[string]time.Time{"t1": time.Now().Add(time.Hour), "t2": {}}
		var mu sync.Mutex
		token := "t1"
		r := open(t, f, func(c *Config) {
			c.Login = Login{Method: TokenFile, Token: func() (secret.Value, error) {
				mu.Lock()
				defer mu.Unlock()
				return secret.NewValue([]byte(token)), nil
			}}
		})
		r.want("a", "canary-1")
		if left := time.Until(r.Status().Expires); left != time.Hour {
			t.Errorf("the token expires in %s, want an hour", left)
		}
		mu.Lock()
		token = "t2"
		mu.Unlock()
		time.Sleep(10 * time.Second)
		if f.count("read") != 1 || !r.Status().Expires.IsZero() {
			t.Error("the new token was not taken before a secret was needed")
		}
		f.set(func() { delete(f.tokens, "t1"); f.secrets["a"] = map[string]any{"key": "canary-2"} })
		if got := r.loop("a", 10*time.Minute, time.Second); !reflect.DeepEqual(got, []string{"canary-1", "canary-2"}) {
			t.Errorf("got %q", got)
		}
		if s := r.Status(); !s.Expires.IsZero() || f.count("login") != 0 {
			t.Errorf("the token that lasts for ever expires at %s; %d logins", s.Expires, f.count("login"))
		}
	})
}

// The service account's token may be replaced, and the old one end, while Vault's own token lasts.
func TestAnOutageAtTheTimeOfRenewalIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := open(t, f, nil)
		got := r.loop("a", 30*time.Minute, time.Second)
		f.set(func() { f.trouble = "sealed" })
		got = append(got, r.loop("a", 20*time.Minute, time.Second)...)
		f.set(func() { f.trouble = "" })
		got = append(got, r.loop("a", 3*time.Hour, time.Second)...)
		if !reflect.DeepEqual(got, []string{"canary-1", "canary-1", "canary-1"}) {
			t.Errorf("got %q", got)
		}
	})
}
