#!/bin/sh
# Installs the proxies the bench compares with, and redis-server, where they are missing. Needs Debian or Ubuntu, and root or sudo.
set -eu
PATH="$PATH:/usr/sbin:/usr/local/sbin"

missing=""
command -v nginx >/dev/null || missing="$missing nginx-light"
command -v haproxy >/dev/null || missing="$missing haproxy"
command -v redis-server >/dev/null || missing="$missing redis-server"
[ -n "$missing" ] || exit 0

fail() {
	echo "bench/setup.sh: $1" >&2
	echo "bench/setup.sh: install$missing by hand, or leave targets out: go run ./bench -without nginx,haproxy,sidecar-redis" >&2
	exit 1
}

command -v apt-get >/dev/null || fail "there is no apt-get on this system"
root=""
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "neither root nor sudo"
	root="sudo"
fi

# The packages would start their services at once, on port 80 or 6379. This is Debian's way to say no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '$root rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
	$root chmod 755 "$policy"
fi

echo "bench/setup.sh: installing$missing" >&2
# shellcheck disable=SC2086 # a list of words
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2 ||
	{ $root apt-get update >&2 && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2; } ||
	fail "apt-get failed"
