package proxy

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/alert"
	"github.com/fsm-integrations/sidecar/policy"
)

// AlertsTo tells the server whom to tell that Alerts may have changed, before it serves. changed must not block.
func (s *Server) AlertsTo(changed func()) { s.changed = changed }

// Alerts returns what people should know of now: letters that wait, letters that were lost within the given time, and
// open breakers.
func (s *Server) Alerts(within time.Duration) []alert.Group {
	stats := s.deps.Letters.Stats()
	names := map[string]string{}
	var groups []alert.Group
	for _, a := range s.adapters() {
		names[a.identity.ID] = a.identity.Name
		if b := a.host.Breaker; b != nil && b.State() == policy.BreakerOpened {
			groups = append(groups, alert.Group{Kind: alert.BreakerOpen, AdapterID: a.identity.ID, Adapter: a.identity.Name, Why: a.whyOpen()})
		}
	}
	for g, n := range stats.OpenByGroup {
		groups = append(groups, alert.Group{AdapterID: g.AdapterID, Adapter: names[g.AdapterID], ErrorType: g.ErrorType, Open: n})
	}
	if stats.Failing != "" || !stats.LastLost.IsZero() && time.Since(stats.LastLost) < within {
		groups = append(groups, alert.Group{Kind: alert.LettersLost, Lost: stats.Lost, Why: stats.Failing})
	}
	return groups
}

func (a *adapter) whyOpen() string {
	if a.host.Breaker.Held() {
		return "an operator opened it"
	}
	return a.host.LastFailure()
}
