package config

import (
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
)

// Alerts tell people about letters.
type Alerts struct {
	Alertmanager         string         `yaml:"alertmanager" format:"url" doc:"URL of an Alertmanager (API v2). Empty: none."`
	AlertmanagerUsername string         `yaml:"alertmanager_username" doc:"User at the Alertmanager (HTTP basic authentication)."`
	AlertmanagerPassword secret.Ref     `yaml:"alertmanager_password" doc:"Password at the Alertmanager, as a secret reference; read for each POST."`
	Webhook              string         `yaml:"webhook" format:"url" doc:"URL that gets a POST per group. Empty: none."`
	WebhookToken         secret.Ref     `yaml:"webhook_token" doc:"Bearer token of the webhook, as a secret reference; read for each POST."`
	GroupInterval        units.Duration `yaml:"group_interval" default:"5m" min:"1s" max:"24h" doc:"Least time between two alerts of one adapter and error type."`
}

// checkAlerts reports credentials that would not be used.
func (r *resolver) checkAlerts(c *Alerts) {
	if c.Webhook == "" && c.WebhookToken != "" {
		r.dlqFault("is for dlq.alerts.webhook, which is not set", "alerts", "webhook_token")
	}
	switch user, password := c.AlertmanagerUsername != "", c.AlertmanagerPassword != ""; {
	case user != password:
		r.dlqFault("needs both, alertmanager_username and alertmanager_password, to log in at the Alertmanager", "alerts")
	case user && c.Alertmanager == "":
		r.dlqFault("is for dlq.alerts.alertmanager, which is not set", "alerts", "alertmanager_username")
	}
}
