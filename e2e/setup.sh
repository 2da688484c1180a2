#!/bin/sh
# Installs the real servers that the tests of e2e/servers need, unless they are there already. Debian packages want
# root; toxiproxy is built from source into .cache, so that the project's own go.mod does not carry it.
set -eu

toxiproxy=v2.12.0

cd "$(dirname "$0")"
cache=$PWD/.cache/bin

packages=
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || packages="$packages nginx-light"
command -v promtool >/dev/null 2>&1 || packages="$packages prometheus"
if [ -n "$packages" ]; then
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	echo "e2e: installing$packages"
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
