#!/bin/sh
# Writes go.mod for another version of Kubernetes: k8s.io/kubernetes replaces its staging modules by folders of its own
# repository, which a module that depends on it cannot see; the same modules are published under v0 with its minor and
# patch number.
#
#   sh generate.sh v1.36.3
set -eu
version=$1
staging=v0.${version#v1.}
cd "$(dirname "$0")"
rm -f go.mod go.sum
go mod init github.com/fsm-integrations/sidecar/e2e/kube
go mod edit -go=1.26.0
mod=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
sed -n 's,^.*\(k8s\.io/[a-z-]*\) => \./staging/.*,\1,p' "$mod" | while read -r module; do
	go mod edit -replace "$module=$module@$staging"
done
go get -tool "k8s.io/kubernetes/cmd/kube-apiserver@$version" "k8s.io/kubernetes/cmd/kube-controller-manager@$version"
go get -tool "go.etcd.io/etcd/server/v3@$(go list -m -f '{{.Version}}' go.etcd.io/etcd/client/v3)" # what it was built with
go mod tidy
