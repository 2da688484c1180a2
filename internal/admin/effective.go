package admin

import (
	"net/http"

	"github.com/fsm-integrations/sidecar/internal/config"
)

// Effective is the configuration in force. It holds references to secrets, never secrets.
type Effective struct {
	File     string             `json:"file"`
	Warnings []string           `json:"warnings,omitempty"` // what is allowed and doubtful, with its line
	Adapters []EffectiveAdapter `json:"adapters"`
}

// EffectiveAdapter is one adapter with every value of its policies.
type EffectiveAdapter struct {
	Name       string               `json:"name"`
	ID         string               `json:"id"`
	Version    string               `json:"version"`
	Upstream   string               `json:"upstream"` // without user info and query
	Listen     string               `json:"listen,omitempty"`
	Settings   []config.Setting     `json:"settings"`
	Operations []EffectiveOperation `json:"operations,omitempty"`
}

// EffectiveOperation is an operation with every value of its policies.
type EffectiveOperation struct {
	Name     string           `json:"name"`
	Settings []config.Setting `json:"settings"`
}

// config answers with each value and the line that set it, as sidecar explain prints them.
func (s *server) config(*http.Request) (any, error) {
	var doc *config.Document
	if s.Document != nil {
		doc = s.Document()
	}
	if doc == nil {
		return nil, refuse(http.StatusNotImplemented, "this sidecar has no configuration yet")
	}
	out := Effective{File: doc.File, Adapters: make([]EffectiveAdapter, 0, len(doc.Adapters))}
	for _, w := range doc.Warnings {
		out.Warnings = append(out.Warnings, w.Error())
	}
	for _, a := range doc.Adapters {
		e := EffectiveAdapter{Name: a.Name, ID: a.ID, Version: a.Version, Listen: a.Listen,
			Upstream: a.Upstream.Scheme + "://" + a.Upstream.Host + a.Upstream.EscapedPath(), Settings: doc.Effective(a.Name, "")}
		for _, o := range a.Operations {
			e.Operations = append(e.Operations, EffectiveOperation{Name: o.Name, Settings: doc.Effective(a.Name, o.Name)})
		}
		out.Adapters = append(out.Adapters, e)
	}
	return out, nil
}
