package vault

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

func TestASecretIsFetchedOncePerPathHoweverManyAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.slow = 100 * time.Millisecond
		r := open(t, f, nil)
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() { r.want("a", "canary-1") })
		}
		all.Wait()
		if f.count("read") != 1 || f.count("login") != 1 {
			t.Errorf("%d reads and %d logins for 500 callers, want one each", f.count("read"), f.count("login"))
		}
	})
}

func TestASecretInUseIsRefreshedBeforeItsTTLEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := open(t, f, nil)
		r.want("a", "canary-1")
		f.set(func() { f.secrets["a"] = map[string]any{"key": "canary-2"}; f.slow = 500 * time.Millisecond })
		var slowest time.Duration
		var switched time.Duration
		start := time.Now()
		for time.Since(start) < time.Hour {
			asked := time.Now()
			if r.get("a") == "canary-2" && switched == 0 {
				switched = time.Since(start)
			}
			slowest = max(slowest, time.Since(asked))
			time.Sleep(time.Second)
		}
		if slowest > 0 {
			t.Errorf("a call waited %s for Vault although the secret was in use all the time", slowest)
		}
		if switched == 0 || switched > 5*time.Minute {
			t.Errorf("the new secret was used after %s, want within the TTL", switched)
		}
		if n := f.count("read"); n > 22 {
			t.Errorf("%d reads in an hour, want one for each TTL, a little early", n)
		}
	})
}

func TestAnIdleSecretIsNotRefreshedButAskedForAgainBeforeUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := open(t, f, nil)
		r.want("a", "canary-1")
		f.set(func() { f.secrets["a"] = map[string]any{"key": "canary-2"} })
		time.Sleep(50 * time.Minute)
		if n := f.count("read"); n > 2 {
			t.Errorf("%d reads of a secret nobody uses", n)
		}
		r.want("a", "canary-2")
	})
}

func TestTheEnvironmentDoesNotAskForWrappedAnswers(t *testing.T) {
	t.Setenv("VAULT_WRAP_TTL", "5m")
	open(t, newFake(), nil).want("a", "canary-1")
}

func TestWhatIsWrongWithASecretIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.secrets = map[string]map[string]any{"deleted": nil, "fields": {"other": "x", "number": 5}, "empty": {"key": ""}, "number": {"key": 7}, "huge": {"key": strings.Repeat("x", 2*largest)}}
		f.denied["denied"] = true
		r := open(t, f, nil)
		for path, want := range map[string]string{
			"absent": "vault:absent#key: there is no secret at secret/data/absent", "deleted": "the newest version of secret/data/deleted was deleted",
			"fields": "no field of this name that holds text", "number": "no field of this name that holds text", "empty": "the field is empty",
			"huge":   "what answers there is no Vault",
			"denied": "Vault denies reading secret/data/denied (status 403)",
		} {
			r.want(path, "error: "+want)
		}
		if r.Status().Up != true || len(r.changes) != 0 {
			t.Errorf("Vault is called down because of what it answers: %v", r.changes)
		}
	})
}

func TestTroubleOfVaultCostsBoundedTimeAndFewFetches(t *testing.T) {
	for trouble, want := range map[string]string{"down": "Vault cannot be reached: dial tcp: connection refused", "hang": "no answer in time", "sealed": "Vault is sealed",
		"broken": "Vault answers with status 500", "noise": "what answers there is no Vault"} {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.trouble = trouble
				r := open(t, f, nil)
				var all sync.WaitGroup
				start := time.Now()
				for tenant := range 100 {
					for range 3 {
						all.Go(func() {
							for time.Since(start) < 30*time.Second {
								asked := time.Now()
								if got := r.get(fmt.Sprint("tenants/", tenant)); !strings.HasPrefix(got, "error: ") {
									t.Errorf("got %q", got)
								}
								if took := time.Since(asked); took > 2*time.Second {
									t.Errorf("a call waited %s", took)
								}
								time.Sleep(200 * time.Millisecond)
							}
						})
					}
				}
				all.Wait()
				r.want("tenants/1", "error: "+want)
				f.mu.Lock()
				total := f.counts["read"] + f.counts["login"]
				f.mu.Unlock()
				if total > 40 || f.crowd > fetchesAtOnce {
					t.Errorf("%d requests in half a minute, %d at once, of 45000 calls", total, f.crowd)
				}
				if s := r.Status(); s.Up || !strings.Contains(s.Why, want) || len(r.changes) != 1 {
					t.Errorf("status %+v, changes %v", s, r.changes)
				}
				f.set(func() { f.trouble = ""; f.secrets["tenants/1"] = map[string]any{"key": "canary-2"} })
				time.Sleep(longestPause + 6*time.Second)
				r.want("tenants/1", "canary-2")
				if s := r.Status(); !s.Up || s.Why != "" {
					t.Errorf("Vault is back and the status is %+v", s)
				}
			})
		})
	}
}

func TestSecretsStayInUseWhileVaultIsAwayAndThenCallsFailClosed(t *testing.T) {
	for _, trouble := range []string{"down", "hang", "sealed", "broken"} {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				r := open(t, f, nil)
				r.want("a", "canary-1")
				f.set(func() { f.trouble = trouble })
				if got := r.loop("a", 64*time.Minute, time.Second); !reflect.DeepEqual(got, []string{"canary-1"}) {
					t.Errorf("within ttl and stale_for: %q", got)
				}
				if age := r.Status().Oldest; age < 63*time.Minute || age > 65*time.Minute {
					t.Errorf("the oldest secret in use is %s old", age)
				}
				time.Sleep(2 * time.Minute)
				r.want("a", "error: Vault")
				f.set(func() { f.trouble = ""; f.secrets["a"] = map[string]any{"key": "canary-2"} })
				if got := r.loop("a", time.Minute, time.Second); got[len(got)-1] != "canary-2" {
					t.Errorf("after Vault came back: %q", got)
				}
			})
		})
	}
}

func TestWhatVaultTookAwayIsNotUsedBeyondItsTTL(t *testing.T) {
	for name, take := range map[string]func(*fake){
		"denied":  func(f *fake) { f.denied["a"] = true },
		"deleted": func(f *fake) { f.secrets["a"] = nil },
		"gone":    func(f *fake) { delete(f.secrets, "a") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				r := open(t, f, nil)
				r.want("a", "canary-1")
				f.set(func() { take(f) })
				r.loop("a", 4*time.Minute+50*time.Second, time.Second) // long enough to be told no
				f.set(func() { f.trouble = "down" })                   // and an outage gives nothing back
				time.Sleep(11 * time.Second)
				for range 100 {
					r.want("a", "error: ")
					time.Sleep(time.Second)
				}
			})
		})
	}
}

func TestARefusedSecretIsAskedForAgainSoonButNotByEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.denied["a"] = true
		r := open(t, f, nil)
		r.loop("a", time.Minute, 10*time.Millisecond)
		if n := f.count("read"); n < 3 || n > 12 {
			t.Errorf("%d reads in a minute of a secret that is denied", n)
		}
		if f.count("login") != 1 {
			t.Errorf("%d logins; the token was fine", f.count("login"))
		}
		f.set(func() { delete(f.denied, "a") })
		time.Sleep(longestPause)
		r.want("a", "canary-1")
	})
}

func TestACallThatGoesAwayDoesNotEndTheFetchForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.slow = 500 * time.Millisecond
		r := open(t, f, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := r.Resolve(ctx, "vault:a#key"); err == nil || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		r.want("a", "canary-1")
		if f.count("read") != 1 {
			t.Errorf("%d reads", f.count("read"))
		}
	})
}

func TestOnlySoManyPathsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for i := range 300 {
			f.secrets[fmt.Sprint("t", i)] = map[string]any{"key": "v"}
		}
		r := open(t, f, func(c *Config) { c.MaxPaths = 100 })
		for i := range 300 {
			r.want(fmt.Sprint("t", i), "v")
			r.want("a", "canary-1")
			time.Sleep(2 * time.Second / 10)
		}
		if n := r.Status().Secrets; n > 100 || n < 80 {
			t.Errorf("%d paths kept", n)
		}
		if n := f.count("read"); n != 301 {
			t.Errorf("%d reads: a secret in use was dropped", n)
		}
		time.Sleep(2 * time.Hour)
		if n := r.Status().Secrets; n != 0 {
			t.Errorf("%d paths kept that could not be used any more", n)
		}
	})
}

func TestASecretThatIsKnownCostsNoAllocation(t *testing.T) {
	r := open(t, newFake(), nil)
	ref := secret.Ref("vault:a#key")
	r.want("a", "canary-1")
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := r.Resolve(ctx, ref); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations on the way of a call", n)
	}
}

func BenchmarkResolve(b *testing.B) {
	s, err := Open(Config{Address: "https://vault.test:8200", Mount: "secret", TTL: time.Hour, RefreshAt: 0.75, Timeout: 2 * time.Second, transport: newFake(),
		Login: Login{Method: Kubernetes, Role: "sidecar", JWT: always("canary-jwt")}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Resolve(ctx, "vault:a#key"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
