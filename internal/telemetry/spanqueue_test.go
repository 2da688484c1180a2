package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
)

// A collector, or what stands before it, may answer with the headers it was sent, and these hold its token.
func TestWhatACollectorAnswersIsNotLogged(t *testing.T) {
	for want, err := range map[string]error{
		"the collector answered 401":    errors.New("failed to send to http://u:canary@c/v1/traces: 401 Api-Key: canary (body: canary)"),
		"retry-able request failure":    errors.New("retry-able request failure: body: canary"),
		"OTLP":                          errors.New("OTLP partial success: canary (3 spans rejected)"),
		"broken: bad Content-Length":    &url.Error{Op: "Post", URL: "http://u:canary@c", Err: errors.New(`broken: bad Content-Length "canary"`)},
		"dial tcp c:4318: no such host": &url.Error{Op: "Post", URL: "http://c", Err: errors.New("dial tcp c:4318: no such host")},
		"the collector answered ":       errors.New("failed to send to http://c"),
	} {
		if got := unsaid(fmt.Errorf("traces export: %w", err)); got != want && got != "traces export: "+want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
