# Licences of what the binary is made of

Written by `make licenses` from the modules that are linked into the Linux binary; a test compares it with go.mod. The Go
standard library and runtime are under the BSD 3-clause licence of the Go Authors (go.dev/LICENSE). Modules under MPL-2.0 are linked
unchanged; their source is the Go module of that name and version (MPL-2.0 section 3.2).

| what | version | licence |
|---|---|---|
{{range .}}{{if ne .Version "Unknown"}}| {{.Name}} | {{.Version}} | {{.LicenseName}} |
{{end}}{{end}}
{{range .}}{{if ne .Version "Unknown"}}
## {{.Name}} {{.Version}}

```
{{.LicenseText}}
```
{{end}}{{end}}
