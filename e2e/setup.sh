#!/bin/sh
# Installs the real servers that the tests of e2e/servers need, unless they are there already. Debian packages want
# root; toxiproxy is built from source into .cache, so that the project's own go.mod does not carry it, and so is the
# provider of verify/, which believes only the official libraries of signatures; Kafka's jars come by Maven, as
# kafka/pom.xml names them; oidc-provider, http-message-signatures and axe-core by npm, as the package-lock.json of
# oidc/, verify/ and axe/ name them. The browser is Debian's Chromium.
# Vault is built from the Go module proxy, as vault/go.mod names it; that takes some minutes, once. It is under the Business
# Source License 1.1: it is run by the tests only, and never shipped.
set -eu

toxiproxy=v2.12.0

cd "$(dirname "$0")"
cache=$PWD/.cache/bin

packages=
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || packages="$packages nginx-light"
command -v promtool >/dev/null 2>&1 || packages="$packages prometheus"
command -v prometheus-alertmanager >/dev/null 2>&1 || packages="$packages prometheus-alertmanager"
command -v redis-server >/dev/null 2>&1 || packages="$packages redis-server"
command -v redis-sentinel >/dev/null 2>&1 || packages="$packages redis-sentinel"
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || packages="$packages chromium fonts-liberation"
command -v strace >/dev/null 2>&1 || packages="$packages strace"
command -v cc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
command -v java >/dev/null 2>&1 || packages="$packages default-jre-headless"
command -v podman >/dev/null 2>&1 || packages="$packages podman"
command -v crun >/dev/null 2>&1 || packages="$packages crun"
command -v qemu-aarch64-static >/dev/null 2>&1 || packages="$packages qemu-user-static"
command -v busybox >/dev/null 2>&1 || packages="$packages busybox-static"
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages="$packages ca-certificates"
fetch_kafka=
cmp -s kafka/pom.xml .cache/kafka/pom.xml || fetch_kafka=yes
[ -z "$fetch_kafka" ] || command -v mvn >/dev/null 2>&1 || packages="$packages maven"
fetch_npm=
for name in oidc verify axe; do
	cmp -s $name/package-lock.json .cache/$name/package-lock.json || fetch_npm="$fetch_npm $name"
done
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
[ -z "$fetch_npm" ] || command -v npm >/dev/null 2>&1 || packages="$packages npm"
if [ -n "$packages" ]; then
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	echo "e2e: installing$packages"
	# Debian starts what it installs, on the usual ports; the tests start their own, on others.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap '$as_root rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
		$as_root chmod 755 "$policy"
	fi
	$as_root apt-get update -q
	# shellcheck disable=SC2086 # a list of names
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi

if [ ! -x "$cache/toxiproxy-server" ]; then
	echo "e2e: building toxiproxy $toxiproxy"
	mkdir -p "$cache"
	GOFLAGS= GOBIN="$cache" go install "github.com/Shopify/toxiproxy/v2/cmd/server@$toxiproxy"
	mv "$cache/server" "$cache/toxiproxy-server"
fi

if [ ! -x "$cache/otelcol" ] || ! cmp -s otelcol/go.mod .cache/otelcol.mod; then
	echo "e2e: building an OpenTelemetry Collector, which takes some minutes"
	mkdir -p "$cache"
	(cd otelcol && GOFLAGS= CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$cache/otelcol" .)
	cp otelcol/go.mod .cache/otelcol.mod # last: tells of which version it is
fi

if [ ! -x "$cache/vault" ] || ! cmp -s vault/go.mod .cache/vault.mod; then
	echo "e2e: building Vault, which takes some minutes"
	mkdir -p "$cache"
	(cd vault && GOFLAGS= CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$cache/vault" github.com/hashicorp/vault)
	cp vault/go.mod .cache/vault.mod # last: tells of which version it is
fi

if [ -n "$fetch_kafka" ]; then
	echo "e2e: fetching Kafka"
	rm -rf .cache/kafka
	mvn -q -B -f kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.cache/kafka"
	cp kafka/pom.xml .cache/kafka/ # last: tells that all is there, and of which version
fi

for name in $fetch_npm; do
	echo "e2e: fetching what $name/package-lock.json names"
	rm -rf ".cache/$name" ".cache/$name.new"
	mkdir -p ".cache/$name.new"
	cp "$name/package.json" "$name/package-lock.json" ".cache/$name.new/"
	npm ci --prefix ".cache/$name.new" --ignore-scripts --no-audit --no-fund --loglevel=error
	mv ".cache/$name.new" ".cache/$name" # last: tells that all is there, and of which version
done

(cd verify && GOFLAGS= go build -o "$cache/verify-signatures" .)

sh kube/setup.sh # Kubernetes' API server and what goes with it: some ten minutes on two cores, once
