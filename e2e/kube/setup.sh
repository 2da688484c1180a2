#!/bin/sh
# Builds Kubernetes' API server, its controllers and its etcd from go.mod, and kustomize, and fetches the kinds of the
# Prometheus operator, all into e2e/.cache, unless they are there already.
set -eu

kustomize=v5.8.1
prometheus_operator=v0.85.0

cd "$(dirname "$0")"
cache=$PWD/../.cache/bin
kinds=$PWD/../.cache/kube
mkdir -p "$cache" "$kinds"

if [ ! -x "$cache/kustomize" ]; then
	echo "e2e: building kustomize $kustomize"
	GOFLAGS= GOBIN="$cache" go install "sigs.k8s.io/kustomize/kustomize/v5@$kustomize"
fi

if [ ! -f "$kinds/podmonitors.yaml" ] || [ ! -f "$kinds/prometheusrules.yaml" ]; then
	echo "e2e: fetching the kinds of the Prometheus operator $prometheus_operator"
	module=$(GOFLAGS= go mod download -json "github.com/prometheus-operator/prometheus-operator@$prometheus_operator")
	folder=$(echo "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	for kind in podmonitors prometheusrules; do
		install -m 644 "$folder/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" "$kinds/$kind.yaml"
	done
fi

if [ ! -x "$cache/kube-apiserver" ] || ! cmp -s go.mod "$kinds/go.mod"; then
	kubernetes=$(GOFLAGS= go list -m -f '{{.Version}}' k8s.io/kubernetes)
	minor=${kubernetes#v1.}
	minor=${minor%%.*}
	echo "e2e: building kube-apiserver and kube-controller-manager $kubernetes, and etcd"
	version=k8s.io/component-base/version
	version="-X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=$minor"
	for command in go.etcd.io/etcd/server/v3 k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager; do
		name=${command##*/}
		[ "$name" != v3 ] || name=etcd
		GOFLAGS= CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $version" -o "$cache/$name" "$command"
	done
	cp go.mod "$kinds/go.mod" # last: tells that all is there, and of which version
fi
