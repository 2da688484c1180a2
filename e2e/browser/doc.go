// Package browser tests the status page of the built binary in a real Chromium, with the simulated external systems. It is
// a module of its own: run it in this folder by `go test -tags e2e .`, or with everything else by `make e2e`.
package browser
