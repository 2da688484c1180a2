package idempotency

import (
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

var (
	//go:embed lua/key.lua
	luaKey string
	//go:embed lua/claim.lua
	luaClaim string
	//go:embed lua/heartbeat.lua
	luaHeartbeat string
	//go:embed lua/settle.lua
	luaSettle string
	//go:embed lua/watch.lua
	luaWatch string
)

// scripts are all that is ever run on a key.
type scripts struct{ claim, heartbeat, settle, watch *shared.Script }

func newScripts() scripts {
	return scripts{
		claim: shared.NewScript(luaKey + luaClaim), heartbeat: shared.NewScript(luaKey + luaHeartbeat),
		settle: shared.NewScript(luaKey + luaSettle), watch: shared.NewScript(luaKey + luaWatch),
	}
}

// callHeartbeat keeps h alive for as long as hold, out of what is left of its lease.
func (r *Redis) callHeartbeat(h *hold, now time.Time) shared.Call {
	left := h.until.Sub(now)
	return shared.Call{Script: r.scripts.heartbeat, Key: r.key(h.scope), Args: []any{
		h.owner.String(), h.fingerprint[:], h.letterID, millis(min(r.options.Liveness, left)), millis(left), millis(r.options.UnknownTTL),
	}}
}

func (r *Redis) callSettle(s *settlement, now time.Time) shared.Call {
	return shared.Call{Script: r.scripts.settle, Key: r.key(s.scope), Args: []any{
		string(s.step), s.owner.String(), s.fingerprint[:], s.letterID, millis(s.until.Sub(now)), s.body(),
	}}
}

// millis rounds up, so that nothing lasts no time.
func millis(d time.Duration) int64 { return max(1, int64((d+time.Millisecond-1)/time.Millisecond)) }

// A found is what the claim script answers.
type found struct {
	verdict Verdict
	letter  string
	outcome *Outcome
	token   string // of the claim in flight
}

var errReply = errors.New("unexpected reply")

// parseFound reads the claim script's reply. An outcome that cannot be read, damaged or written by a later version,
// makes its key unknown.
func parseFound(reply any) (found, error) {
	parts, _ := reply.([]any)
	text := func(i int) string {
		if i < len(parts) {
			s, _ := parts[i].(string)
			return s
		}
		return ""
	}
	switch text(0) {
	case "granted":
		return found{verdict: Granted}, nil
	case "reused":
		return found{verdict: Reused}, nil
	case "in flight":
		return found{verdict: InFlight, token: text(1), letter: text(2)}, nil
	case "unknown":
		return found{verdict: Unknown, letter: text(1)}, nil
	case "replay":
		outcome, err := decodeOutcome([]byte(text(1)))
		if err != nil {
			return found{verdict: Unknown, letter: text(2)}, nil
		}
		return found{verdict: Replay, outcome: outcome}, nil
	}
	return found{}, fmt.Errorf("%w %v", errReply, reply)
}
