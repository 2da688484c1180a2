package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker: -ldflags "-X main.version=1.2.3 -X main.commit=abc". Nothing else writes them.
var version, commit string

// build says which program this is.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// currentBuild takes what the linker was told, else what the Go tool stamped.
func currentBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.stamp(info)
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

func (b *build) stamp(info *debug.BuildInfo) {
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if b.Commit == "" && settings["vcs.revision"] != "" {
		b.Commit = settings["vcs.revision"]
		if settings["vcs.modified"] == "true" {
			b.Commit += " with changes"
		}
	}
}

func newVersionCommand(a *app) *cobra.Command {
	var out format
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit and Go version",
		Example: "  sidecar version -o json",
		Args:    needs(),
		RunE: func(*cobra.Command, []string) error {
			b := currentBuild()
			if out.json() {
				return a.json(b)
			}
			a.printf("sidecar %s (commit %s, %s %s/%s)\n", b.Version, b.Commit, b.Go, runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	out.flags(c)
	return c
}
