package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
)

// serveFake returns a client of f.
func serveFake(t *testing.T, f *fake) *admin.Client {
	t.Helper()
	server := httptest.NewServer(admin.New(admin.Config{Controller: f, Letters: f, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	c, err := admin.NewClient(strings.TrimPrefix(server.URL, "http://"), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCollectFindsEveryLetterAcrossPages(t *testing.T) {
	f := new(fake)
	for i := range 2*admin.MaxLimit + 7 {
		f.letters = append(f.letters, &dlq.Letter{ID: fmt.Sprintf("%05d", i), State: dlq.Dead})
	}
	client := serveFake(t, f)
	for limit, want := range map[int]int{0: len(f.letters), 1: 1, admin.MaxLimit: admin.MaxLimit, admin.MaxLimit + 3: admin.MaxLimit + 3, 1e6: len(f.letters)} {
		ids, err := collect(t.Context(), client, admin.Query{}, limit)
		if err != nil || len(ids) != want || !slices.IsSorted(ids) || len(slices.Compact(ids)) != want {
			t.Errorf("limit %d: %d of %d, %v", limit, len(ids), want, err)
		}
	}
}

func TestDurationsMeanAgo(t *testing.T) {
	now := time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
	for in, want := range map[string]string{"2h": "2026-01-31T07:30:00Z", "0s": "2026-01-31T09:30:00Z", "2026-01-01T00:00:00Z": "2026-01-01T00:00:00Z", "": ""} {
		if got := ago(in, now); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	for _, in := range []string{"-2h", "2", "yesterday", "2026-01-31"} {
		if isTime(in) {
			t.Errorf("%q is taken for a time", in)
		}
	}
}

func replayOf(f *fake, letters int) (*replay, []string, *bytes.Buffer) {
	var ids []string
	for i := range letters {
		l := &dlq.Letter{ID: fmt.Sprint("letter-", i), State: dlq.Dead}
		f.letters, ids = append(f.letters, l), append(ids, l.ID)
	}
	out := new(bytes.Buffer)
	return &replay{app: &app{stdout: out, stderr: out}}, ids, out
}

func TestInterruptEndsBetweenLetters(t *testing.T) {
	f := new(fake)
	r, ids, _ := replayOf(f, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := r.send(ctx, serveFake(t, f), ids)
	if err == nil || err.Error() != "interrupted: 3 of 3 letters not tried" || len(results) != 0 || f.told() != "" {
		t.Errorf("%v %v", results, err)
	}
}

func TestRateIsKept(t *testing.T) {
	f := new(fake)
	r, ids, _ := replayOf(f, 4)
	r.perSecond = 50
	start := time.Now()
	results, err := r.send(t.Context(), serveFake(t, f), ids)
	if took := time.Since(start); err != nil || len(results) != 4 || took < 55*time.Millisecond {
		t.Errorf("%d letters at 50 a second in %s, %v", len(results), took, err)
	}
}

// Of a long replay the table names only what somebody must look at.
func TestLongReplaysListTheirFailures(t *testing.T) {
	f := new(fake)
	r, ids, out := replayOf(f, maxListed+1)
	results, err := r.send(t.Context(), serveFake(t, f), append(ids, "gone"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.app.finish("table", results, nil, false); err != errNotWell {
		t.Errorf("%v", err)
	}
	want := "ID    RESULT  STATUS  ATTEMPTS  REASON\ngone  failed  -       -         there is no letter gone\n\n52 letters: 51 replayed, 1 failed\n"
	if out.String() != want {
		t.Errorf("%s", out)
	}
}
