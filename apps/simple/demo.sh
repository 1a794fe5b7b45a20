#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Two instances of apps/simple, calls to them, an error, and one of them leaving. Usage: apps/simple/demo.sh [BUILD]
# Exits with 0 when everything went as described, and leaves no process behind.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=${1:-build}
simple=$build/apps/simple/simple
m3ctl=$build/apps/m3ctl/m3ctl
service=demo.world1.simple
configs=configs/demo
caller=$configs/caller.toml
scratch=$(mktemp -d "${TMPDIR:-/tmp}/m3-demo.XXXXXX")
pids=()
began=$EPOCHREALTIME

clean_up() {
  local pid
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap clean_up EXIT

good() { printf '  ✓ %s\n' "$*"; }
bad() {
  printf '  ✗ %s\n' "$*"
  local log
  for log in "$scratch"/*.log; do
    [ ! -s "$log" ] || { printf '\n%s:\n' "${log##*/}"; tail -n 15 "$log"; }
  done
  exit 1
}
title() { printf '\n%s\n' "$*"; }
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }

# call ARGUMENT...: one call; prints "127.0.0.1:22111 HelloWorld , ann", fails as m3ctl does.
call() {
  "$m3ctl" call "$@" --config "$caller" --json |
    sed -nE 's/.*"Rsp":"([^"]*)".*"address":"([^"]*)".*/\2 \1/p'
}

# Other programs may use the ports of configs/demo: then copies of the files use different ones.
choose_ports() {
  local ports
  if ports=$(python3 - <<'PY'
import socket, sys
wanted = [22111, 22112]
sockets = [socket.socket() for _ in wanted]
try:
    for one, port in zip(sockets, wanted):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
except OSError:
    sockets = [socket.socket() for _ in wanted]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    print(*(one.getsockname()[1] for one in sockets))
PY
  ) && [ -n "$ports" ]; then
    local first=${ports% *} second=${ports#* }
    cp "$configs"/*.toml "$scratch"
    sed -i "s/:22111\"/:$first\"/; s/:22112\"/:$second\"/" "$scratch"/*.toml
    configs=$scratch
    caller=$configs/caller.toml
    printf '(port 22111 or 22112 is in use, so this runs with copies of configs/demo on %s and %s)\n' "$first" "$second"
  fi
}

# start N: an instance, which answers m3ctl ping when it is ready.
start() {
  local id=$service.$1 from=$EPOCHREALTIME
  "$simple" -idstr "$id" -conf "$configs/simple$1.toml" >"$scratch/simple$1.log" 2>&1 &
  pids[$1]=$!
  until "$m3ctl" ping "$id" -n 1 --config "$caller" >/dev/null 2>"$scratch/ping.log"; do
    kill -0 "${pids[$1]}" 2>/dev/null || bad "$id ended instead of getting ready"
    [ $((${EPOCHREALTIME%.*} - ${from%.*})) -lt 20 ] || bad "$id is not ready after 20 s"
  done
  good "$id is ready (pid ${pids[$1]}, after $(since "$from"))"
}

# expect_one WHAT ROUTE: ten calls that must all reach the same instance; its address is in $answered_by.
expect_one() {
  local what=$1 i line
  answered_by=""
  for i in 1 2 3 4 5 6 7 8 9 10; do
    line=$(call "$service" SimpleSer/HelloWorld '{"Req": "ann"}' --route "$2") || bad "a call by $2 failed"
    [ "${line#* }" = "HelloWorld , ann" ] || bad "the answer is '$line'"
    [ -z "$answered_by" ] || [ "$answered_by" = "${line%% *}" ] || bad "$2 went to $answered_by and to ${line%% *}"
    answered_by=${line%% *}
  done
  good "$what: 10 of 10 answered by $answered_by"
}

random_until_both() {
  local calls=0 line
  declare -A count=()
  while [ ${#count[@]} -lt 2 ] || [ "$calls" -lt 10 ]; do
    [ "$calls" -lt 60 ] || bad "60 random calls all went to ${!count[*]}"
    line=$(call "$service" SimpleSer/HelloWorld '{"Req": "ann"}' --route random) || bad "a random call failed"
    count[${line%% *}]=$((${count[${line%% *}]:-0} + 1))
    calls=$((calls + 1))
  done
  local shown=() address
  for address in "${!count[@]}"; do shown+=("${count[$address]} by $address"); done
  good "random: $calls of $calls answered, ${shown[0]} and ${shown[1]}"
}

# leave N: SIGTERM; the instance must finish its work and exit with 0.
leave() {
  local from=$EPOCHREALTIME code=0
  kill -TERM "${pids[$1]}"
  wait "${pids[$1]}" || code=$?
  [ "$code" = 0 ] || bad "$service.$1 exited with $code"
  unset "pids[$1]"
  good "$service.$1 got SIGTERM, finished what it was doing and left with exit code 0 after $(since "$from")"
}

# expect_error CODE WORDS ARGUMENT...: shows m3ctl's error.
expect_error() {
  local wanted=$1 words=$2 code=0
  shift 2
  printf "  \$ m3ctl call %s %s '%s' --config configs/demo/caller.toml\n" "$@"
  "$m3ctl" call "$@" --config "$caller" >"$scratch/out" 2>&1 || code=$?
  sed 's/^/    /' "$scratch/out"
  if [ "$code" != "$wanted" ] || ! grep -q "$words" "$scratch/out"; then bad "expected exit code $wanted and \"$words\", got $code"; fi
}

for program in "$simple" "$m3ctl"; do
  [ -x "$program" ] || bad "$program is not built: ./dev demo builds it"
done
choose_ports

title "Two instances of apps/simple start, each from its file in configs/demo"
start 1
start 2
"$m3ctl" ping "$service" --config "$caller" | sed 's/^/    /'

title "m3ctl calls the service, and its route picks the instance"
printf '  $ m3ctl call %s SimpleSer/HelloWorld '\''{"Req": "ann"}'\'' --config configs/demo/caller.toml\n' "$service"
"$m3ctl" call "$service" SimpleSer/HelloWorld '{"Req": "ann"}' --config "$caller" | sed 's/^/    /'
random_until_both
expect_one "hash:ann" hash:ann
expect_one "single" single
by_single=$answered_by

title "Errors say what to do, and their group is the exit code"
expect_error 2 "did you mean" "$service" HelloWord '{"Req": "ann"}'
expect_error 2 "has no field" "$service" HelloWorld '{"name": "ann"}'
good "both calls are wrong, and never sent: exit code 2"

title "One instance leaves while calls go on"
(
  for _ in $(seq 30); do call "$service" HelloWorld '{"Req": "ann"}' --route random || echo failed; done
) >"$scratch/calls" 2>&1 &
caller_pid=$!
until [ "$(wc -l <"$scratch/calls")" -ge 5 ]; do kill -0 "$caller_pid" || bad "the calls ended early"; done
leave 2
wait "$caller_pid"
answered=$(grep -c "HelloWorld , ann" "$scratch/calls" || true)
[ "$answered" = 30 ] || { sort "$scratch/calls" | uniq -c; bad "only $answered of 30 calls were answered"; }
good "30 of 30 calls were answered, the last ones by $(tail -n 1 "$scratch/calls" | cut -d' ' -f1)"
[ "$(tail -n 1 "$scratch/calls" | cut -d' ' -f1)" = "$by_single" ] || bad "the last call should have reached $by_single"
expect_error 4 "unavailable" "$service.2" HelloWorld '{"Req": "ann"}'
good "who asks for the one that left is told to try elsewhere: exit code 4"

title "The other one leaves"
leave 1
printf '\nEverything went as it should, in %s. Next: docs/hello.md writes such an app, docs/guide/m3ctl.md shows the tool.\n' \
  "$(since "$began")"
