package alert

import (
	"maps"
	"strings"
	"time"
)

// hook is what a webhook gets: the specification's alert (severity, title, description, metadata), and whether it still
// holds. Metadata has the labels, the commands, and what is known of the group.
type hook struct {
	Severity    Severity       `json:"severity"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Metadata    map[string]any `json:"metadata"`
	Status      status         `json:"status"`
	GroupKey    string         `json:"groupKey"` // the same for every alert of a group
	StartsAt    time.Time      `json:"startsAt"`
	EndsAt      *time.Time     `json:"endsAt,omitempty"` // of a resolved one
}

// webhook sends one alert per POST.
func (c Config) webhook() format {
	return format{name: toWebhook, url: c.Webhook, auth: c.WebhookAuth, batch: 1, encode: func(batch []notice, _ time.Time) any { return c.hook(batch[0]) }}
}

func (c Config) hook(n notice) hook {
	m := c.text(n)
	h := hook{
		Severity: n.group.severity(), Title: m.title, Description: m.description, Metadata: c.metadata(n, m), Status: n.status,
		GroupKey: c.groupKey(n.group), StartsAt: n.since.UTC(),
	}
	if n.status == resolved {
		end := n.until.UTC()
		h.EndsAt = &end
	}
	return h
}

func (c Config) groupKey(g Group) string {
	return strings.Join([]string{string(g.Kind), g.AdapterID, string(g.ErrorType), c.Instance}, "/")
}

func (c Config) metadata(n notice, m message) map[string]any {
	g := n.group
	known := c.labels(g)
	delete(known, "severity")
	maps.Copy(known, filled(map[string]string{
		"adapter": g.Adapter, "look": m.look, "replay": m.replay, "runbook": m.runbook, "statusPage": c.statusPage(),
	}))
	metadata := make(map[string]any, len(known)+3)
	for name, value := range known {
		metadata[name] = value
	}
	if n.status == firing {
		g.count(metadata)
	}
	return metadata
}

// count adds the numbers.
func (g Group) count(metadata map[string]any) {
	switch g.Kind {
	case Letters:
		metadata["open"] = g.Open
		if !g.Oldest.IsZero() {
			metadata["oldest"] = g.Oldest.UTC().Format(time.RFC3339)
		}
	case LettersLost:
		metadata["lost"] = g.Lost
	}
	if g.Why != "" {
		metadata["why"] = g.Why
	}
}
