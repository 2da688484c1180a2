package main

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

// door is the handler of the admin listener.
func (p *process) door(doc *config.Document) (http.Handler, error) {
	c := admin.Config{Controller: p.server, Letters: p.letters, Sink: p.readSink(doc), Log: p.log, Audit: p.audit, Level: p.level, Reload: p.reload,
		Recent: p.recent, Document: p.server.Document}
	if !strings.HasPrefix(doc.Listen.Admin, admin.UnixScheme) {
		host, _, err := net.SplitHostPort(doc.Listen.Admin)
		if err != nil {
			return nil, err
		}
		c.Hosts = []string{host}
	}
	if ref := doc.Listen.AdminToken; ref != "" {
		c.Token = func(ctx context.Context) (secret.Value, error) { return p.secrets.Resolve(ctx, ref) }
		if _, err := c.Token(context.Background()); err != nil {
			p.log.Error("listen.admin_token cannot be read: admin refuses every request until it can", "error", err.Error())
		}
	}
	return admin.New(c), nil
}
