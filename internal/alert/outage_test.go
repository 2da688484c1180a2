package alert

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func clientOf(r *receiver) *http.Client { return &http.Client{Transport: r} }

var errRefused = errors.New("connection refused")

// refuse is a server that is down.
func refuse(context.Context, delivery) (int, error) { return 0, errRefused }

func TestATargetThatWasDownHearsThePresentStateAndNotWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(refuse)
		for n := range 60 {
			s.set(lettersOf("erp", n+1), lettersOf("crm", 60-n))
			a.Kick()
			time.Sleep(time.Second)
		}
		s.set(lettersOf("erp", 60)) // the letters of crm were replayed meanwhile
		a.Kick()
		r.take()
		r.answers(nil)
		time.Sleep(maxDelay + lookGap)
		got := hooks(t, r.take())
		if len(got) != 2 {
			t.Fatalf("after the outage told %+v", got)
		}
		for _, h := range got {
			if erp := h.Metadata["adapter"] == "erp"; erp && (h.Status != firing || h.Metadata["open"] != 60.0) || !erp && h.Status != resolved {
				t.Errorf("after the outage told %+v", h)
			}
		}
	})
}

func TestWhatWasNeverTriedIsNotResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(refuse)
		s.set(lettersOf("erp", 1))
		a.Kick()
		time.Sleep(100 * time.Millisecond)
		s.set(lettersOf("erp", 1), lettersOf("crm", 1)) // opens and closes during the backoff
		a.Kick()
		time.Sleep(100 * time.Millisecond)
		s.set(lettersOf("erp", 1))
		r.answers(nil)
		time.Sleep(time.Minute)
		for _, h := range hooks(t, r.take()) {
			if h.Metadata["adapter"] == "crm" {
				t.Errorf("told %+v", h)
			}
		}
	})
}

func TestTheBackoffGrowsToItsBoundAndKicksDoNotShortenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(refuse)
		s.set(lettersOf("erp", 1))
		for range 6000 {
			a.Kick()
			time.Sleep(100 * time.Millisecond)
		}
		tries := r.take()
		if len(tries) < 20 || len(tries) > 50 {
			t.Errorf("%d tries in ten minutes", len(tries))
		}
		for i := 1; i < len(tries); i++ {
			gap := tries[i].at.Sub(tries[i-1].at)
			if longest := min(minDelay<<(i-1), maxDelay); gap < longest/2 || gap > longest {
				t.Errorf("gap %d is %s, want %s to %s", i, gap, longest/2, longest)
			}
		}
	})
}

func TestAServerErrorIsTriedAgainAndWhatItAsksForIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Time
		s := &source{groups: []Group{lettersOf("erp", 1)}}
		a := New(Config{Webhook: webhookURL, Source: s.read, Client: &http.Client{Transport: roundTrip(func(q *http.Request) *http.Response {
			tries = append(tries, time.Now())
			answer := &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}
			if len(tries) == 1 {
				answer.StatusCode = 429
				answer.Header.Set("Retry-After", "90")
			}
			return answer
		})}})
		time.Sleep(100 * time.Second)
		must(t, a.Close(t.Context()))
		if len(tries) != 2 || tries[1].Sub(tries[0]) != 90*time.Second {
			t.Errorf("tried at %v", tries)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q), nil }

func TestAHangingTargetIsGivenUpAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(hang)
		s.set(lettersOf("erp", 1))
		a.Kick()
		time.Sleep(postTimeout + time.Millisecond)
		if got := r.take(); len(got) != 1 {
			t.Fatalf("%d POSTs were given up after %s", len(got), postTimeout)
		}
		r.answers(nil)
		time.Sleep(minDelay)
		if got := r.take(); len(got) != 1 {
			t.Errorf("%d POSTs after the target answers again", len(got))
		}
	})
}

func TestAHangingTargetDoesNotDelayTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL, Alertmanager: alertmanagerURL})
		r.answers(func(ctx context.Context, d delivery) (int, error) {
			if !isAlertmanager(d) {
				return hang(ctx, d)
			}
			return 200, nil
		})
		s.set(lettersOf("erp", 1))
		a.Kick()
		synctest.Wait()
		if got := r.take(); len(got) != 1 || !isAlertmanager(got[0]) {
			t.Errorf("%d deliveries", len(got))
		}
	})
}

func TestAGroupThatIsRefusedDoesNotStandInTheWayOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, r := started(t, Config{Webhook: webhookURL})
		r.answers(func(_ context.Context, d delivery) (int, error) {
			if strings.Contains(string(d.body), "bad") {
				return 400, nil
			}
			return 200, nil
		})
		s.set(lettersOf("bad", 1), lettersOf("crm", 1), lettersOf("erp", 1))
		a.Kick()
		time.Sleep(5 * time.Second)
		taken := 0
		for _, d := range r.take() {
			if d.status == 200 {
				taken++
			}
		}
		if taken != 2 {
			t.Errorf("%d of two good groups were taken", taken)
		}
	})
}

func TestAnOutageIsLoggedOnceObservedEachTimeAndNamesNoURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var taken, failed atomic.Int64
		a, s, r := started(t, Config{Webhook: webhookURL, Log: slog.New(slog.NewTextHandler(&log, nil)), Observe: func(target string, err error) {
			if target != "webhook" || strings.Contains(errorText(err), "secret-token") {
				t.Errorf("observed %s: %v", target, err)
			}
			if err == nil {
				taken.Add(1)
			} else {
				failed.Add(1)
			}
		}})
		r.answers(refuse)
		s.set(lettersOf("erp", 1))
		a.Kick()
		time.Sleep(time.Minute)
		r.answers(nil)
		time.Sleep(time.Minute)
		must(t, a.Close(t.Context()))
		if taken.Load() != 1 || failed.Load() < 5 {
			t.Errorf("observed %d taken, %d failed", taken.Load(), failed.Load())
		}
		if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "connection refused") || strings.Contains(text, "secret-token") {
			t.Errorf("logged\n%s", text)
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
