// A module of its own, so that the product's go.mod does not carry a browser's protocol.
module github.com/fsm-integrations/sidecar/e2e/browser

go 1.26.0

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/fsm-integrations/sidecar v0.0.0
)

require (
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/fsm-integrations/sidecar => ../..
