#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# The mesh on real services: instances of apps/multi, each its own process, with Consul and Redis, run by m3ctl up.
# Usage: apps/cluster/demo.sh [BUILD]. Exits with 0 when everything went as described, and leaves no process behind.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=${1:-build}
m3ctl=$build/apps/m3ctl/m3ctl
file=configs/local/town.toml
service=demo.world1.multi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/m3-demo.XXXXXX")
state=$scratch/town.json
up_pid=""
began=$EPOCHREALTIME

clean_up() {
  if [ -n "$up_pid" ] && kill -0 "$up_pid" 2>/dev/null; then
    kill -KILL "$up_pid"  # its children die with it
    wait "$up_pid" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap clean_up EXIT

good() { printf '  ✓ %s\n' "$*"; }
bad() {
  printf '  ✗ %s\n' "$*"
  [ ! -s "$scratch/errors" ] || { printf '\nm3ctl call said:\n'; tail -n 5 "$scratch/errors"; }
  [ ! -s "$scratch/up.out" ] || { printf '\nm3ctl up said:\n'; tail -n 30 "$scratch/up.out"; }
  exit 1
}
title() { printf '\n%s\n' "$*"; }
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }
indent() { sed 's/^/    /'; }

# of EXPRESSION: a value from the state of the cluster.
of() { python3 -c 'import json, sys; town = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$state" "$1"; }
pid_of() { of "next(one['pid'] for one in town['instances'] if one['id'] == '$1')"; }

# shown COMMAND ARGUMENT...: an m3ctl command, and what it prints.
shown() {
  printf '  $ m3ctl'; printf ' %s' "${@@Q}"; printf '\n'
  "$m3ctl" "$@" --cluster "$state" >"$scratch/out" 2>&1 || { indent <"$scratch/out"; bad "m3ctl $1 failed"; }
  indent <"$scratch/out"
}

# eventually WHAT COMMAND...: until the command succeeds; for 30 s.
eventually() {
  local what=$1 from=$EPOCHREALTIME
  shift
  until "$@"; do
    kill -0 "$up_pid" 2>/dev/null || bad "m3ctl up ended"
    [ $((${EPOCHREALTIME%.*} - ${from%.*})) -lt 30 ] || bad "$what: not after 30 s"
  done
}

# by ROUTE: the instance that answers one call, like "multi.1"; an error is "failed".
by() {
  "$m3ctl" call "$service" Hello '{"Req": "Ann"}' --route "$1" --cluster "$state" --json 2>>"$scratch/errors" |
    sed -nE 's/.*"By":"demo\.world1\.([^"]*)".*/\1/p' | grep . || echo failed
}

# expect_calls COUNT ROUTE: counts the answers by instance, in $answered: "7 by multi.1, 3 by multi.3". None may fail.
expect_calls() {
  local i
  for ((i = 0; i < $1; i++)); do by "$2"; done | sort | uniq -c | awk '{ printf "%s%d by %s", (NR > 1 ? ", " : ""), $1, $2 }' >"$scratch/counts"
  answered=$(cat "$scratch/counts")
  case $answered in *failed*) bad "of $1 calls by $2: $answered" ;; esac
}

state_is() { "$m3ctl" routes "$1" --cluster "$state" --json 2>/dev/null | grep -q "\"state\":\"$2\",\"answers\":\"yes\""; }
restarted() { [ "$(of "next(one['restarts'] for one in town['instances'] if one['id'] == '$1' and one['state'] == 'ready')" 2>/dev/null)" = 1 ]; }

for program in "$m3ctl" "$build/apps/multi/multi" "$build/apps/multi/multi-town"; do
  [ -x "$program" ] || bad "$program is not built: ./dev demo cluster builds it"
done

title "Consul, Redis and four instances of apps/multi start, each a process of its own: m3ctl up $file"
"$m3ctl" up "$file" --state "$state" --ready-file "$scratch/ready" >"$scratch/up.out" 2>&1 &
up_pid=$!
eventually "everything ready" test -e "$scratch/ready"
good "everything is ready after $(since "$began")"
shown routes "$service"

printf '[router.consul]\naddresses = ["%s"]\n[broker.redis]\naddress = "%s"\n' \
  "$(of "town['services']['consul']['address']")" "$(of "town['services']['redis']['address']")" >"$scratch/caller.toml"
printf 'cores = 1\nlog_level = "error"\n%s' "$(cat "$scratch/caller.toml")" >"$scratch/caller.toml.new"
mv "$scratch/caller.toml.new" "$scratch/caller.toml"
"$build/apps/multi/multi-town" "$scratch/caller.toml" || bad "not every route went as it should"

title "m3ctl finds them the same way"
shown call "$service" Hello '{"Req": "Ann"}' --route hash:Ann
expect_calls 12 random
good "random: 12 calls, $answered"
expect_calls 4 single
[ "$answered" = "4 by multi.1" ] || bad "single went to $answered"
good "single: 4 calls, $answered, the lowest"

title "One is drained: its callers go elsewhere, and it stays for those who name it"
shown drain "$service.1"
eventually "Consul lists it as draining" state_is "$service.1" draining
expect_calls 12 random
case $answered in *multi.1*) bad "random still went to multi.1: $answered" ;; esac
good "random: 12 calls, $answered"
shown call "$service.1" Hello '{"Req": "Ann"}'
shown uncordon "$service.1"
eventually "Consul lists it as serving" state_is "$service.1" serving

title "One is killed with -9 while calls go on"
victim=$(pid_of "$service.2")
(for _ in $(seq 20); do by random; done) >"$scratch/calls" &
caller=$!
eventually "the first calls" test -s "$scratch/calls"
kill -9 "$victim"
wait "$caller"
failed=$(grep -c failed "$scratch/calls" || true)
[ "$failed" = 0 ] || bad "$failed of 20 calls failed"
good "20 of 20 calls were answered: $(sort "$scratch/calls" | uniq -c | awk '{ printf "%s%d by %s", (NR > 1 ? ", " : ""), $1, $2 }')"
eventually "multi.2 again" restarted "$service.2"
eventually "Consul lists it as serving" state_is "$service.2" serving
good "m3ctl up started it again: pid $(pid_of "$service.2") instead of $victim"
expect_calls 2 "p2p:$service.2"
good "P2P: 2 calls, $answered"

title "Everything stops, the services last"
pids=$(of "' '.join(str(one['pid']) for one in [*town['services'].values(), *town['instances']])")
printf '  $ m3ctl down\n'
"$m3ctl" down "$state" | indent
wait "$up_pid" || bad "m3ctl up left with $?"
up_pid=""
for pid in $pids; do ! kill -0 "$pid" 2>/dev/null || bad "process $pid is still there"; done
good "all processes have left, m3ctl up with exit code 0"
printf '\nEverything went as it should, in %s. docs/guide/cluster.md says how to write such a file.\n' "$(since "$began")"
