package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// redisUse is what a redis-server did: since its start, or in one slice.
type redisUse struct {
	CPU     time.Duration `json:"cpu"`
	Eval    int64         `json:"eval"`    // scripts sent whole
	EvalSHA int64         `json:"evalsha"` // scripts sent by their hash
	Reads   int64         `json:"reads"`   // from sockets: one per round trip, however many commands share it
}

// scripts are the commands of the sidecar. Other lines of commandstats are mostly what the scripts themselves call.
func (u *redisUse) scripts() int64 { return u.Eval + u.EvalSHA }

// since is what was done after an earlier reading; nil without Redis.
func (u *redisUse) since(before *redisUse) *redisUse {
	if u == nil || before == nil {
		return nil
	}
	return &redisUse{CPU: u.CPU - before.CPU, Eval: u.Eval - before.Eval, EvalSHA: u.EvalSHA - before.EvalSHA, Reads: u.Reads - before.Reads}
}

// check finds calls that went without Redis, as a sidecar lets them when it does not answer in time: they would make
// it look cheap. One script brings tokens for no more calls than there are connections, and a key takes two of its
// own. A tenth may be missing: a busy machine is late now and then.
func (u *redisUse) check(calls uint64, conns int, w *workload) error {
	if u == nil {
		return nil
	}
	need := 1 / float64(conns)
	if w.keyed {
		need += tripsOfKey
	}
	if float64(u.scripts()) < 0.9*need*float64(calls) {
		return fmt.Errorf("only %d scripts in Redis for %d calls: many of them went without it", u.scripts(), calls)
	}
	return nil
}

// parseInfo reads the counters of INFO. A command that was never used has no line; without the reads, which servers
// count since Redis 6, there is nothing to judge by.
func parseInfo(text string) (*redisUse, error) {
	use := &redisUse{Reads: -1}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		var into *int64
		switch name {
		case "cmdstat_eval":
			into = &use.Eval
		case "cmdstat_evalsha":
			into = &use.EvalSHA
		case "total_reads_processed":
			into = &use.Reads
		default:
			continue
		}
		value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("INFO says %q", strings.TrimSpace(line))
		}
		*into = n
	}
	if use.Reads < 0 {
		return nil, fmt.Errorf("INFO has no total_reads_processed: this Redis is older than 6")
	}
	return use, nil
}
