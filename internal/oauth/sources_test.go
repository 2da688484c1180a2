package oauth

import (
	"fmt"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

func TestSourcesAreKeptByWhatTheyAskFor(t *testing.T) {
	sources, resolver := NewSources(), secret.NewResolver()
	config := ClientConfig{TokenURL: "https://login.test/token", Scopes: []string{"a"}, Timeout: time.Second}
	first := sources.Of(NewClient(config, ""), "me", "env:A", resolver)
	if sources.Of(NewClient(config, ""), "me", "env:A", resolver) != first {
		t.Error("a client that asks for the same has another source: a reload would fetch anew")
	}
	for name, change := range map[string]func(*ClientConfig){"scopes": func(c *ClientConfig) { c.Scopes = []string{"a", "b"} }, "URL": func(c *ClientConfig) { c.TokenURL += "2" },
		"audience": func(c *ClientConfig) { c.Audience = "x" }, "resource": func(c *ClientConfig) { c.Resource = "x" }, "style": func(c *ClientConfig) { c.InBody = true }} {
		other := config
		change(&other)
		if sources.Of(NewClient(other, ""), "me", "env:A", resolver) == first {
			t.Errorf("another %s has the same source", name)
		}
	}
	c := NewClient(config, "")
	if sources.Of(c, "you", "env:A", resolver) == first || sources.Of(c, "me", "env:B", resolver) == first || sources.Of(NewClient(config, "other CA"), "me", "env:A", resolver) == first {
		t.Error("another client has the same source")
	}
	for i := range 2 * maxSources {
		sources.Of(c, "me", secret.Ref(fmt.Sprintf("env:T%d", i)), resolver)
		sources.Of(c, "me", "env:A", resolver)
	}
	if len(sources.byID) != maxSources || sources.recent.Len() != maxSources {
		t.Errorf("%d and %d sources are kept", len(sources.byID), sources.recent.Len())
	}
	if sources.Of(c, "me", "env:A", resolver) != first {
		t.Error("the one that was always in use was forgotten")
	}
}
