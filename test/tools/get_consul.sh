#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Consul for the tests, from Debian 11, the last Debian that has it, into ~/.cache/m3/consul: one program, nothing is installed.
# Usage: test/tools/get_consul.sh [FILE]
set -euo pipefail

target=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/m3/consul}
[ ! -x "$target" ] || exit 0
name=consul_1.8.7+dfsg1-2+b3_amd64.deb
sum=e4e888bba104daba1d9161f49bfc52649a7e4efd45b1a7ead5bc54f2cb9c89d9

give_up() { printf 'consul is not there (%s): the tests that need it are skipped\n' "$*" >&2; exit 1; }

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || give_up "not Debian on amd64"
# The mirror that this machine installs from.
base=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
  awk '$3 == "Debian" && $2 !~ /-/ { print $1; exit }')
[ -n "$base" ] || base=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
  grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' | sed 's,/$,,')
[ -n "$base" ] || give_up "no Debian mirror is configured"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
/usr/lib/apt/apt-helper -o Acquire::Retries=3 -o Acquire::http::Timeout=30 download-file \
  "$base/pool/main/c/consul/$name" "$scratch/consul.deb" "SHA256:$sum" >"$scratch/log" 2>&1 ||
  give_up "$(tail -n 1 "$scratch/log")"
dpkg-deb -x "$scratch/consul.deb" "$scratch/root"
mkdir -p "$(dirname "$target")"
cp "$scratch/root/usr/bin/consul" "$target.new"
mv "$target.new" "$target"
