// Package sidecar embeds the example configuration. It holds nothing else: the program is in cmd/sidecar.
package sidecar

import _ "embed"

// ExampleConfig is config.example.yaml. A file can only be embedded from its own folder or above it, and the example
// belongs to the top of the repository, where people look for it; so this package exists. The tests prove with it that
// the example is valid, and commands may print it.
//
//go:embed config.example.yaml
var ExampleConfig []byte
