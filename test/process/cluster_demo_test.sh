#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# The demo of a cluster, where its services are installed. Usage: cluster_demo_test.sh BUILD
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# Where it looks for what runs here, apart from the user's own; a consul in the user's folder is still found.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
consul=${M3_CONSUL:-$(command -v consul || echo "${XDG_CACHE_HOME:-$HOME/.cache}/m3/consul")}
if [ ! -x "$consul" ] || ! command -v redis-server >/dev/null; then
  echo "consul or redis-server is not installed: ./dev setup"
  exit 77
fi
M3_CONSUL=$consul XDG_CACHE_HOME=$scratch apps/cluster/demo.sh "$1"
