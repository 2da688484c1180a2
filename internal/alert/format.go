package alert

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// The targets, as the metric names them.
const (
	toAlertmanager = "alertmanager"
	toWebhook      = "webhook"
)

// format is how one kind of target wants to be told.
type format struct {
	name   string
	url    string
	auth   func(context.Context) (string, error) // nil: none
	batch  int                                   // notices in one POST
	encode func(batch []notice, now time.Time) any
}

// formats are those of the configured targets.
func (c Config) formats() []format {
	var list []format
	if c.Alertmanager != "" {
		list = append(list, c.alertmanager())
	}
	if c.Webhook != "" {
		list = append(list, c.webhook())
	}
	return list
}

// labels identify an alert. They say nothing of a single call: no tenant, key, path or secret.
func (c Config) labels(g Group) map[string]string {
	return filled(map[string]string{
		"alertname": string(g.Kind), "severity": string(g.severity()), "adapter_id": g.AdapterID,
		"error_type": string(g.ErrorType), "instance": c.Instance,
	})
}

// statusPage is where the alerts come from.
func (c Config) statusPage() string {
	if c.Admin == "" || strings.HasPrefix(c.Admin, "unix:") {
		return ""
	}
	return (&url.URL{Scheme: "http", Host: c.Admin, Path: "/"}).String()
}

// filled leaves out what is empty.
func filled(m map[string]string) map[string]string {
	for name, value := range m {
		if value == "" {
			delete(m, name)
		}
	}
	return m
}
