//go:build e2e

package servers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// A stream that is never trimmed fills a Redis slowly: people should hear of it before it takes nothing more.
func TestANearlyFullRedisIsWarnedOf(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "maxmemory 64mb", "maxmemory-policy noeviction")
	s := e2e.Start(t, e2e.Setup{Top: onRedis(server.address), Adapters: e2e.Adapter("sales", e2e.NewUpstream(t, echo).URL)})
	if status, message := redisCheck(t, s); status != "pass" {
		t.Errorf("health says %q (%s) of a Redis with room", status, message)
	}
	s.Term()
	s.Wait(10 * time.Second)
	for i := range 545 { // 114 KB each, as Redis allocates
		server.do("SET", fmt.Sprint("junk:", i), strings.Repeat("x", 100_000))
	}
	s.Restart()
	message := ""
	e2e.Eventually(t, "health to warn", func() bool {
		status, said := redisCheck(t, s)
		message = said
		return status == "warn"
	})
	if !strings.Contains(message, "nearly all of its maxmemory (64.00M") || !statusOfRedis(t, s).Up {
		t.Errorf("health says %q", message)
	}
	if r := s.MustCommand(t, "status"); !strings.Contains(r.Stdout, "nearly all of its maxmemory") {
		t.Errorf("status:\n%s", r.Stdout)
	}
	if n := strings.Count(s.Log.String(), "nearly all of its maxmemory"); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, s.Log.String())
	}
}
