package main

import (
	"testing"
)

func TestInfoIsReadForScriptsAndRoundTrips(t *testing.T) {
	const text = "# Stats\r\ntotal_reads_processed:70\r\n# Commandstats\r\ncmdstat_evalsha:calls=31,usec=9,usec_per_call=0.29\r\n" +
		"cmdstat_eval:calls=2,usec=1\r\ncmdstat_set:calls=900,usec=1\r\n"
	got, err := parseInfo(text)
	if err != nil || *got != (redisUse{Eval: 2, EvalSHA: 31, Reads: 70}) || got.scripts() != 33 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "cmdstat_eval:calls=2\r\n", "total_reads_processed:many\r\n"} {
		if _, err := parseInfo(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestUseIsTheDifferenceOfTwoReadings(t *testing.T) {
	before, after := &redisUse{CPU: 1, Eval: 2, EvalSHA: 3, Reads: 4}, &redisUse{CPU: 11, Eval: 12, EvalSHA: 13, Reads: 14}
	if got := after.since(before); *got != (redisUse{CPU: 10, Eval: 10, EvalSHA: 10, Reads: 10}) {
		t.Fatalf("%+v", got)
	}
	var none *redisUse
	if got := none.since(nil); got != nil {
		t.Fatalf("%+v without Redis", got)
	}
}

func TestCallsThatWentWithoutRedisAreFound(t *testing.T) {
	plain, keyed := &workloads()[0], &workloads()[2]
	for _, tt := range []struct {
		name    string
		w       *workload
		scripts int64
		found   bool
	}{
		{"takes that share a script", plain, 100, false},
		{"no take", plain, 0, true},
		{"fewer than connections can share", plain, 20, true},
		{"claim, outcome and shared takes", keyed, 2032, false},
		{"keys kept elsewhere", keyed, 1000, true},
	} {
		if err := (&redisUse{EvalSHA: tt.scripts}).check(1000, 32, tt.w); (err != nil) != tt.found {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
	if err := (*redisUse)(nil).check(1000, 32, keyed); err != nil {
		t.Errorf("a target without Redis: %v", err)
	}
}
