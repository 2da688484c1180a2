package admin

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/proxy"
)

// healthType is the media type of draft-inadarei-api-health-check-06, for those who ask for it.
const healthType = "application/health+json"

// serveHealth answers in the specification's shape, or as health+json.
func serveHealth(w http.ResponseWriter, r *http.Request, h proxy.Health) {
	var v any = h
	contentType := "application/json"
	if wantsHealthJSON(r.Header.Values("Accept")) {
		v, contentType = draftHealth(h), healthType
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Vary", "Accept")
	if h.Status == "unhealthy" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(v) // a client that went away is nobody's fault
}

// wantsHealthJSON reports whether Accept names the type, and prefers nothing else that we have (RFC 9110 section 12.5.1).
func wantsHealthJSON(accept []string) bool {
	health, plain := -1.0, -1.0
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		switch name {
		case healthType:
			health = q
		case "application/json":
			plain = q
		}
	}
	return health > 0 && health >= plain
}

// draft is a health document of the draft.
type draft struct {
	Status      string                  `json:"status"`
	ReleaseID   string                  `json:"releaseId,omitempty"`
	Description string                  `json:"description"`
	Checks      map[string][]draftCheck `json:"checks"`
}

type draftCheck struct {
	ComponentID   string   `json:"componentId"`
	ComponentType string   `json:"componentType"`
	ObservedValue *float64 `json:"observedValue,omitempty"`
	ObservedUnit  string   `json:"observedUnit,omitempty"`
	Status        string   `json:"status"`
	Time          string   `json:"time"`
	Output        string   `json:"output,omitempty"`
}

func draftHealth(h proxy.Health) draft {
	d := draft{Status: map[string]string{"healthy": "pass", "degraded": "warn", "unhealthy": "fail"}[h.Status], ReleaseID: h.Version,
		Description: "health of an integration sidecar and of the external systems it calls", Checks: map[string][]draftCheck{}}
	for id, c := range h.Checks {
		name, one := id+":responseTime", draftCheck{ComponentID: id, ComponentType: "system", Status: c.Status, Time: h.Timestamp.UTC().Format(time.RFC3339)}
		switch {
		case c.Shared:
			name, one.ComponentType = id, "component"
		case !c.Observed.IsZero():
			one.ObservedValue, one.ObservedUnit, one.Time = &c.Latency, "ms", c.Observed.UTC().Format(time.RFC3339)
		}
		if c.Status != "pass" { // section 4.7: omitted for pass
			one.Output = c.Message
		}
		d.Checks[name] = append(d.Checks[name], one)
	}
	return d
}
