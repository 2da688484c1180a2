package alert

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestATransitionIsToldAtOnceThenOncePerIntervalAndItsEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		time.Sleep(time.Hour)
		if got := r.take(); len(got) != 0 {
			t.Fatalf("%d alerts of nothing", len(got))
		}
		opened := time.Now()
		s.set(lettersOf("erp", 1))
		a.Kick()
		synctest.Wait()
		first := r.take()
		if got := hooks(t, first); len(got) != 1 || got[0].Status != firing || !got[0].StartsAt.Equal(opened) || !first[0].at.Equal(opened) {
			t.Fatalf("told %+v", got)
		}
		s.set(lettersOf("erp", 5))
		time.Sleep(DefaultGroupInterval - time.Second)
		if got := r.take(); len(got) != 0 {
			t.Errorf("told again within the interval: %s", got[0].body)
		}
		time.Sleep(2 * time.Second)
		if got := hooks(t, r.take()); len(got) != 1 || got[0].Metadata["open"] != 5.0 || !got[0].StartsAt.Equal(opened) {
			t.Errorf("after the interval told %+v, want the present number and the first start", got)
		}
		s.set()
		a.Kick()
		synctest.Wait()
		if got := hooks(t, r.take()); len(got) != 1 || got[0].Status != resolved || !got[0].EndsAt.Equal(time.Now()) || got[0].Metadata["open"] != nil {
			t.Errorf("at the end told %+v", got)
		}
		time.Sleep(time.Hour)
		if got := r.take(); len(got) != 0 {
			t.Errorf("told after the end: %s", got[0].body)
		}
	})
}

func TestABurstIsOneAlertPerGroupAndInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL, Alertmanager: alertmanagerURL})
		for n := range 10_000 {
			s.set(lettersOf("erp", n+1), lettersOf("crm", n+1), Group{AdapterID: "erp-id", ErrorType: "network", Open: n + 1})
			a.Kick()
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		count := map[string]int{}
		got := r.take()
		for _, h := range hooks(t, slices.DeleteFunc(slices.Clone(got), isAlertmanager)) {
			count["webhook "+h.GroupKey]++
		}
		for _, p := range posted(t, slices.DeleteFunc(got, func(d delivery) bool { return !isAlertmanager(d) })) {
			count[fmt.Sprint("alertmanager ", p.Labels)]++
		}
		if len(count) != 6 {
			t.Errorf("told of %v, want three groups to two targets", count)
		}
		for group, n := range count {
			if n != 1 {
				t.Errorf("%s: %d times in 10 s", group, n)
			}
		}
	})
}

func isAlertmanager(d delivery) bool { return strings.HasSuffix(d.path, "/api/v2/alerts") }

func TestAKickStormReadsTheSourceAFewTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, _ := started(t, Config{Webhook: webhookURL})
		for range 1000 {
			for range 100 {
				a.Kick()
			}
			time.Sleep(time.Millisecond)
		}
		if n := s.readings(); n < 5 || n > 7 {
			t.Errorf("read %d times in a second", n)
		}
	})
}

func TestAKickCostsNoAllocationAndNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(hang)
		s.set(lettersOf("erp", 1))
		if n := testing.AllocsPerRun(1000, a.Kick); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// hang answers nothing until it is broken off.
func hang(ctx context.Context, _ delivery) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestWhatFlapsCostsNoMoreThanWhatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL, GroupInterval: time.Minute})
		for range 600 {
			s.set(lettersOf("erp", 1))
			a.Kick()
			time.Sleep(500 * time.Millisecond)
			s.set()
			a.Kick()
			time.Sleep(500 * time.Millisecond)
		}
		count := map[status]int{}
		for _, h := range hooks(t, r.take()) {
			count[h.Status]++
		}
		if !maps.Equal(count, map[status]int{firing: 10, resolved: 10}) {
			t.Errorf("in ten minutes of flapping told %v", count)
		}
	})
}

func TestWhatIsOpenAtTheStartIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &source{}, &receiver{}
		s.set(lettersOf("erp", 3))
		a := New(Config{Webhook: webhookURL, Source: s.read, Client: clientOf(r)})
		synctest.Wait()
		if got := hooks(t, r.take()); len(got) != 1 {
			t.Errorf("told %+v", got)
		}
		must(t, a.Close(t.Context()))
	})
}

func TestAForgottenKickCostsAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, r := started(t, Config{Webhook: webhookURL, GroupInterval: time.Minute})
		synctest.Wait()
		s.set(lettersOf("erp", 1))
		time.Sleep(time.Minute + time.Second)
		if got := r.take(); len(got) != 1 {
			t.Errorf("told %d times", len(got))
		}
	})
}

func TestWithoutATargetNothingRuns(t *testing.T) {
	a := New(Config{Source: func() []Group { t.Error("read"); return nil }})
	a.Kick()
	must(t, a.Close(t.Context()))
}

func TestCloseSendsNothingNewAndLetsTheOneUnderWayFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(func(context.Context, delivery) (int, error) { time.Sleep(2 * time.Second); return 204, nil })
		s.set(lettersOf("erp", 1), lettersOf("crm", 1))
		a.Kick()
		synctest.Wait()
		start := time.Now()
		must(t, a.Close(t.Context()))
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("closed after %s", took)
		}
		a.Kick()
		time.Sleep(time.Hour)
		if got := r.take(); len(got) != 1 || got[0].status != 204 {
			t.Errorf("%d alerts", len(got))
		}
	})
}

func TestCloseBreaksOffWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &source{}, &receiver{answer: hang}
		s.set(lettersOf("erp", 1))
		a := New(Config{Webhook: webhookURL, Source: s.read, Client: clientOf(r)})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := a.Close(ctx); err == nil || time.Since(start) != time.Second {
			t.Errorf("closed after %s: %v", time.Since(start), err)
		}
		must(t, a.Close(t.Context()))
		if took := time.Since(start); took != time.Second {
			t.Errorf("what hung ended after %s", took)
		}
	})
}

func TestClosingWhileATargetIsDownDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(refuse)
		s.set(lettersOf("erp", 1))
		a.Kick()
		time.Sleep(time.Minute)
		synctest.Wait()
		start := time.Now()
		must(t, a.Close(t.Context()))
		if took := time.Since(start); took != 0 {
			t.Errorf("closed after %s", took)
		}
	})
}
