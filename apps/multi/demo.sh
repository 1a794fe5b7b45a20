#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Every way to route, among four instances in one process. Usage: apps/multi/demo.sh [BUILD]
set -euo pipefail
exec "${1:-build}/apps/multi/multi-town"
