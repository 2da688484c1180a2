package alert

import (
	"strings"
	"time"
)

// lifetime is how many intervals a firing alert lives without being sent again, as when its sidecar is gone. It is
// never shorter than minLifetime, because the clocks of two machines differ.
const (
	lifetime    = 3
	minLifetime = 10 * time.Second
)

// postableAlert is the Alertmanager's own word (API v2, POST /api/v2/alerts).
type postableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func (c Config) alertmanager() format {
	return format{
		name: toAlertmanager, url: strings.TrimRight(c.Alertmanager, "/") + "/api/v2/alerts", auth: c.AlertmanagerAuth, batch: 1000,
		encode: func(batch []notice, now time.Time) any {
			list := make([]postableAlert, 0, len(batch))
			for _, n := range batch {
				list = append(list, c.postable(n, now))
			}
			return list
		},
	}
}

func (c Config) postable(n notice, now time.Time) postableAlert {
	end := n.until
	if n.status == firing {
		end = now.Add(max(lifetime*c.GroupInterval, minLifetime))
	}
	start, end := n.since.Round(0).UTC(), end.Round(0).UTC()
	if end.Before(start) { // somebody set the clock back; it would be refused, and all that is sent with it
		start = end
	}
	return postableAlert{
		Labels: c.labels(n.group), Annotations: c.text(n).annotations(), StartsAt: start, EndsAt: end, GeneratorURL: c.statusPage(),
	}
}
